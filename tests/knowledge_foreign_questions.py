"""Questions that mention other subjects: covered ones that do so by the way, and ones about them.

Written from the entries' headings and answers and from what callers ask anywhere, before the
foreign subjects were named and weighed. Every other question was at hand when the weight was
chosen; of the rest only totals were looked at.
"""

from __future__ import annotations

COVERED = {
    "en": """\
we crashed on holiday in italy what do i do now
can i register a trailer for taking garden waste to the tip
i got married and have a new surname do the papers need changing
my dog ate the registration certificate how do i get a new one
i left my vehicle papers on the train and they are gone
my grandmother died and left me her old volkswagen how do i put it in my name
i work in a hospital and can't come in the week are you open on saturdays
i'm in a wheelchair after an operation can i get into your building
a stone from a lorry hit my windscreen on the motorway is that insured
the baby is due next week can my husband register the car for me
i bought a car on the internet from a man in poland how do i register it here
i need plates for my son's moped he goes to school on it
we moved to a new flat across the street do i have to tell you
i sold my car to my neighbour what do i have to do
my plates were nicked outside the football stadium last night
can i bring the kids to the counter and park a pram near the office
i missed my bus and will be late for my appointment
i have the flu can we move my appointment to next week
a deer ran into my car how do i report it to the insurance
i'm flying to spain tomorrow is there a way to deregister my car from home
can i get a number plate with my dog's name on it
my wife wants her birthday on the number plate is that possible
i only drive my camper in summer for camping is there a plate for that
my father bought an old tractor from 1960 can it have a historic plate
the car wash bent my number plate how do i get another
someone stole my car from the airport car park
i'm a baker and start early how soon do you open in the morning
are you open on easter monday
do i need to bring my passport to register a used car
i bought an electric car to save on petrol do i pay any tax on it
can i charge my tesla while i do my shopping in town
i want to take my car to my new job in switzerland for good which plate do i need
my divorce is through and the car is mine now how do i change the owner
i've a small cleaning business how do i register a van for the company
the post lost my insurance number can i get it again
my insurance went up after christmas can i leave them
i drove for ten years without a crash in america does the no claims bonus count
my tuv ran out while i was in hospital what happens now
does the garage round the corner do the inspection
i need the green sticker to drive to my doctor in berlin where do i get it
can i pay by credit card or do i have to go to the bank first
i bought a second hand motorbike for touring the alps what do i need to register it
how long does registering take i've got the plumber coming at noon
my car stood in the barn for two winters how do i get it back on the road
i scrapped my car do i get the rest of the tax back in my bank account
is there a bus to the vehicle office from the railway station
is this a computer or a real lady i am speaking to
will my boss get to hear the recording of this call
my phone fell in the water so what is your e-mail address
i want to test drive a car from the farm next door what plate do i need
""".splitlines(),
    "de": """\
wir hatten im urlaub in italien einen unfall was muss ich jetzt machen
kann ich einen anhänger für gartenabfälle bei ihnen anmelden
ich hab geheiratet und heiße jetzt anders müssen die papiere neu
mein hund hat den fahrzeugschein gefressen wie krieg ich einen neuen
ich hab den fahrzeugbrief im zug liegen lassen und finde ihn nicht mehr
meine oma ist gestorben und hat mir ihren golf vermacht wie melde ich den auf mich an
ich arbeite im krankenhaus und kann nur samstags haben sie da offen
ich sitze seit der operation im rollstuhl komm ich bei ihnen rein
ein stein vom lastwagen hat auf der autobahn meine frontscheibe getroffen zahlt die versicherung
wir kriegen nächste woche ein baby kann mein mann das auto für mich anmelden
ich hab im internet ein auto aus polen gekauft wie melde ich das hier an
ich brauch ein kennzeichen für das mofa von meinem sohn der fährt damit in die schule
wir sind in eine neue wohnung gegenüber gezogen muss ich die adresse melden
ich hab mein auto an den nachbarn verkauft was muss ich tun
mir haben sie vor dem fußballstadion die nummernschilder geklaut
gibt es am amt parkplätze ich hab die kinder und den kinderwagen dabei
ich hab den bus verpasst und komme zu spät zu meinem termin
ich hab grippe kann ich meinen termin auf nächste woche verschieben
mir ist ein reh ins auto gelaufen wie melde ich das der versicherung
ich flieg morgen nach spanien kann ich das auto auch von zu hause aus abmelden
kann ich ein kennzeichen mit dem namen von meinem hund haben
meine frau will ihren geburtstag auf dem nummernschild geht das
ich fahr mein wohnmobil nur im sommer zum camping gibts da ein kennzeichen
mein vater hat einen alten traktor von 1960 kriegt der ein h kennzeichen
die waschanlage hat mein kennzeichen verbogen wie krieg ich ein neues
mir wurde das auto am flughafen gestohlen
ich bin bäcker und früh auf wann machen sie morgens auf
haben sie am ostermontag offen
brauch ich meinen reisepass wenn ich einen gebrauchten wagen anmelde
ich hab mir ein elektroauto gekauft damit ich benzin spare zahl ich da steuer
kann ich meinen tesla laden während ich in der stadt einkaufe
ich nehm mein auto mit zum neuen job in die schweiz welches kennzeichen brauch ich
nach der scheidung gehört das auto mir wie ändere ich den halter
ich hab eine kleine putzfirma wie melde ich einen transporter auf die firma an
die post hat meine versicherungsnummer verschlampt krieg ich die evb noch mal
meine autoversicherung ist zu weihnachten teurer geworden kann ich da raus
ich bin zehn jahre in amerika unfallfrei gefahren zählt das beim schadenfreiheitsrabatt
mein tüv ist abgelaufen während ich im krankenhaus lag was passiert jetzt
macht die werkstatt um die ecke auch die hauptuntersuchung
ich brauch die grüne plakette weil mein arzt in berlin ist wo krieg ich die
kann ich mit kreditkarte zahlen oder muss ich erst zur bank
ich hab ein gebrauchtes motorrad für die alpen gekauft was brauch ich zum anmelden
wie lange dauert das anmelden ich hab mittags den klempner da
mein auto stand zwei winter in der scheune wie krieg ich es wieder auf die straße
ich hab das auto verschrottet krieg ich die restliche steuer aufs konto
fährt ein bus vom bahnhof zur zulassungsstelle
sind sie ein computer oder eine echte dame
hört mein chef die aufnahme von diesem gespräch
mein handy ist ins wasser gefallen wie ist denn ihre e mail adresse
ich will vom bauern nebenan ein auto probe fahren welches kennzeichen brauch ich
""".splitlines(),
}

UNCOVERED = {
    "en": """\
which documents do i need to see a lung specialist
how much does a check up for my teeth cost
when is the blood bank open
where can i get a sick note for work
what does a haircut cost for men
can i reserve a table at the steak house for saturday
what papers do i need for a mortgage
how do i cancel my newspaper subscription
are the museums open on sunday
is the ice rink open on public holidays
how long does it take to get a skip for building rubble
where can i hand in old paint and batteries
how do i register my daughter for nursery
what do i need to enrol at university
how do i apply for maternity pay
what is the fee for a dog licence
my cat was stolen what should i do
how do i report a burst water pipe
when will the power be back on in our street
how much is a monthly ticket for the tram
do trains to munich run on christmas day
can i change my flight online
i lost my passport at the beach what do i do
how do i get a work visa for my cousin
what is the price of a litre of diesel
can i contest a speeding fine online
where do i pay a parking ticket
my driving licence was stolen how do i replace it
how many lessons do i need before the driving test
i need someone to tow me my engine has died
how much is a set of winter tyres
where can i rent a van for moving house
do i need a licence for flying a drone
how do i register a sailing boat
can you fix the potholes in my road
the street lamp outside my house is broken who do i call
how do i register a marriage at the town hall
what do i need to register the birth of my son
how do i change my tax class after the wedding
by when do i have to hand in my income tax
do i get a refund on my electricity bill
how do i switch my gas supplier
how do i cancel my mobile phone contract
my laptop was stolen how do i report it
can i get my pension early
where do i sign up for unemployment money
how do i find a plumber on a sunday
will there be thunder on the weekend
can i get a replacement for my lost bank card
which court deals with an inheritance dispute
""".splitlines(),
    "de": """\
welche unterlagen brauche ich für den lungenfacharzt
was kostet die vorsorge beim zahnarzt
wann hat die blutbank offen
wo krieg ich eine krankschreibung her
was kostet ein haarschnitt für männer
kann ich für samstag einen tisch im steakhaus reservieren
welche papiere brauch ich für einen hauskredit
wie kündige ich mein zeitungsabo zum jahresende
haben die museen am sonntag auf
hat die eishalle an feiertagen offen
wie lange dauert es bis ich einen container für bauschutt kriege
wo kann ich alte farbe und batterien abgeben
wie melde ich meine tochter im kindergarten an
was brauche ich um mich an der uni einzuschreiben
wie beantrage ich mutterschaftsgeld
wie hoch ist die gebühr für einen hund
meine katze wurde gestohlen was mache ich
wem melde ich einen wasserrohrbruch
wann ist bei uns in der straße der strom wieder da
was kostet eine monatskarte für die straßenbahn
fahren an weihnachten züge nach münchen
kann ich meinen flug online umbuchen
ich hab am strand meinen reisepass verloren was nun
wie krieg ich ein arbeitsvisum für meinen cousin
was kostet gerade der liter diesel
kann ich gegen den blitzer online einspruch einlegen
wo zahle ich einen strafzettel
mein führerschein wurde gestohlen wie krieg ich einen neuen
wie viele fahrstunden brauch ich vor der prüfung
mich muss einer abschleppen mein motor ist hin
was kostet ein satz winterreifen
wo kann ich einen transporter für den umzug mieten
brauche ich einen schein um eine drohne fliegen zu lassen
wie melde ich ein segelboot an
können sie die schlaglöcher in meiner straße ausbessern
die laterne vor meinem haus ist kaputt wer ist zuständig
wie melde ich eine eheschließung im rathaus an
was brauche ich um die geburt von meinem sohn anzumelden
wie ändere ich nach der hochzeit die steuerklasse
bis wann muss ich die einkommensteuer abgeben
krieg ich bei der stromrechnung was zurück
wie wechsle ich meinen gasanbieter
wie kündige ich meinen handyvertrag
mein laptop wurde gestohlen wie melde ich das
kann ich früher in rente gehen
wo melde ich mich arbeitslos
wie finde ich am sonntag einen klempner
gibt es am wochenende gewitter
krieg ich ersatz für meine verlorene bankkarte
welches gericht ist für erbstreit zuständig
""".splitlines(),
}
