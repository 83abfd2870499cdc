"""Whether a partial transcript is a whole turn: judged on sentences about many subjects.

A slash marks a place where the speaker may pause though the sentence is not finished.
"""

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.voice.completeness import Completeness, Expecting, is_backchannel, judge

COMPLETE, OPEN, HANGING = Completeness.COMPLETE, Completeness.OPEN, Completeness.HANGING
KNOWLEDGE = Path(__file__).parents[2] / "docs" / "knowledge" / "kfz"

ENGLISH = """
where can / I / buy a / ticket for / the concert
does the / hotel / have a / swimming pool
I / want to / change my / delivery address
what's the / best / way to / get to the / harbour
my / laptop won't / turn on
how much / does the / annual / membership / cost
could I / get a / refund for / the / broken lamp
is the / restaurant / open on / public holidays
I'd like to / order / two large pizzas
when does / the / next ferry / leave
we'd / like to / reserve / a room for / three nights
can you / give me / the / address of / the clinic
who / should I / talk to about / my / contract
are the / tickets / still available
do you / have / anything / for / left handed children
I've / forgotten / my / password
how do I / connect the / printer to my / computer
there is / water coming from / the / ceiling
because / I / lost my / card I need / a new one
what / should I / do if / the / alarm rings
which / platform / does the / train to / bristol leave from
please / cancel / my order from / yesterday
how long / do I / have to / wait for / a doctor
my / neighbour's / dog / keeps barking
is it / possible to / pay in / instalments
I think / you / charged me twice
can / somebody / come and / look at the / boiler
where / is the / nearest / cash machine
what / time / does the / library / close
I / don't / understand / the / second letter
may I / bring / my / own food
when will / the / technician / arrive
how / often / do I / have to / water the plant
do I / need / a visa for / japan
I'm / calling about / the / flat on / king street
would you / tell me / whether / the course / is full
are / children / allowed in / the / sauna
I / can't / open / the / attachment
why / is my / bill so / high this month
how / many people / can / stay in / the cottage
send me / the / contract by / email please
the / parcel / you sent me / is damaged
can I / speak to / the manager
what / kind of / insurance do / you offer
has the / match / been / cancelled
did / you / receive my / application
what does / the / guided tour / include
I / was / wondering if / you / have any vacancies
if the / shoes / don't / fit can I / return them
my / son needs / a / vaccination for / school
how / can / I / reach your / support team
should I / take the / pills before / breakfast
is / there / a discount for / pensioners
we / have / no / hot water
where do / I / hand in / my tax return
I'd / like to / know how / the / trial works
do / you / repair / old watches
what's / included in / the / ticket price
I / need to / extend my / library loan
can my / daughter / join the / choir
how / far / is the / beach from / the hotel
the / lift / in our / building is / broken
which / wine / do you / recommend with / fish
could / you / repeat the / last number
"""
GERMAN = """
wo kann / ich / karten für / das konzert / kaufen
hat das / hotel / ein / schwimmbad
ich / möchte / meine lieferadresse / ändern
wie komme / ich / am / schnellsten / zum / hafen
mein / laptop / lässt sich nicht / einschalten
wie viel / kostet / die / jährliche / mitgliedschaft
kann ich / für die / kaputte / lampe / mein geld / zurückbekommen
ist das / restaurant / an / feiertagen / geöffnet
ich / würde gern / zwei große / pizzen / bestellen
wann fährt / die / nächste / fähre
wir / möchten / ein zimmer für / drei nächte / reservieren
können sie / mir / die / adresse der / klinik geben
mit / wem / kann ich / über / meinen vertrag / sprechen
sind die / karten / noch / verfügbar
haben / sie / etwas / für / linkshändige / kinder
ich / habe / mein / passwort / vergessen
wie / verbinde / ich / den / drucker mit / meinem / computer
von / der / decke / tropft / wasser
weil / ich / meine karte / verloren / habe brauche / ich / eine neue
was soll / ich / machen wenn / der / alarm / klingelt
von / welchem / gleis / fährt / der zug nach / bremen
bitte / stornieren / sie / meine / bestellung von / gestern
wie lange / muss / ich / auf / einen arzt / warten
der / hund / meines / nachbarn / bellt
ist es / möglich / in / raten / zu / zahlen
ich / glaube / sie / haben / mir / zu viel / berechnet
kann / jemand / vorbeikommen und / nach / der heizung / sehen
wo / ist / der / nächste / geldautomat
um / wie viel / uhr / schließt / die / bibliothek
ich / verstehe / den / zweiten / brief nicht
darf / ich / mein / eigenes / essen / mitbringen
wann / kommt / der / techniker
wie / oft / muss / ich / die pflanze / gießen
brauche / ich / ein / visum für / japan
ich / rufe / wegen / der wohnung in der / königstraße / an
können / sie / mir / sagen ob / der kurs / voll ist
dürfen / kinder / in / die sauna / gehen
ich / kann / den / anhang nicht / öffnen
warum / ist / meine / rechnung so / hoch
wie / viele / leute / können / in dem / ferienhaus / schlafen
schicken / sie / mir / bitte / den / vertrag
das / paket / das / sie mir / geschickt haben / ist / beschädigt
kann / ich / mit / dem chef / sprechen
welche / versicherungen / bieten / sie an
wurde / das / spiel / abgesagt
haben / sie / meine / bewerbung / erhalten
was / kostet / die / führung durch / das schloss
ich / wollte / wissen ob / sie / noch / zimmer / frei haben
wenn / die / schuhe nicht / passen kann / ich / sie / umtauschen
mein / sohn / braucht / eine / impfung für / die schule
wie / kann / ich / ihren / kundendienst / erreichen
soll / ich / die / tabletten vor / dem frühstück / nehmen
gibt / es / eine / ermäßigung für / rentner
wir / haben / kein / warmes wasser mehr
wo / gebe / ich / meine steuererklärung / ab
ich / möchte / wissen / wie / die probezeit / funktioniert
reparieren / sie / auch / alte / uhren
ist / das / mittagessen / im / preis / enthalten
ich / muss / meine / ausleihe / verlängern
kann / meine / tochter / im chor / mitsingen
wie / weit / ist / der strand vom hotel entfernt
der / aufzug / in / unserem / haus ist / kaputt
welchen / wein / empfehlen / sie zum / fisch
könnten / sie / die / letzte / nummer / wiederholen
"""
