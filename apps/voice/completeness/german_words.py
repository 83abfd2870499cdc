"""German word classes: the closed ones whole, of the open ones what tells a clause's end."""

from apps.core.words import fold
from apps.voice.completeness.lexicon import words as words_of

# One letter a class, so that a clause is a string and a rule about it a regular expression.
_CLOSED = {
    # determiners and possessives: a noun is still to come
    "d": "der die das den dem des ein eine einen einem einer eines mein meine meinen meinem meiner "
    "meines dein deine deinen deinem deiner sein seine seinen seinem seiner unser unsere unseren "
    "unserem unserer euer eure ihre ihren ihrem ihrer ihres kein keine keinen keinem keiner "
    "dieser diese dieses diesen diesem jeder jede jedes jeden jedem alle allen aller manche "
    "mehrere einige viele wenige beide welche welcher welches welchen welchem solche "
    "solchen ner ne",
    "p": "für mit ohne bei an auf in aus zu von nach vor über unter durch gegen um wegen trotz "
    "zwischen neben hinter seit ab statt außer während innerhalb außerhalb gegenüber pro per "
    "bezüglich laut anstatt entlang bis",
    # a preposition and its determiner
    "q": "am im zum zur beim vom ins ans aufs fürs übers ums vors hinterm",
    "c": "und oder aber sondern denn sowie beziehungsweise",
    "s": "dass ob weil wenn falls damit obwohl nachdem bevor sobald solange sofern als indem",
    "w": "was wer wen wem wessen wann wo wohin woher wie warum wieso weshalb womit wofür worauf "
    "woran wovon wozu worüber wobei wieviel wieviele wogegen wodurch",
    "r": "ich du er sie es wir ihr man jemand niemand etwas nichts jeder einer alles",
    # object and reflexive pronouns
    "o": "mich dich sich uns euch ihn",
    "l": "mir dir ihm ihnen",
    "m": "kann kannst können könnt könnte könnten könntest muss musst müssen müsst müsste müssten "
    "darf darfst dürfen dürft dürfte dürften soll sollst sollen sollt sollte sollten will willst "
    "wollen wollt wollte wollten möchte möchten möchtest mag würde würden würdest mögen muß",
    "h": "habe hab hast hat haben habt hatte hatten hattest hätte hätten",
    "b": "bin bist ist sind seid war warst waren wäre wären sei",
    "u": "wird werden wirst werde wurde wurden",
    "e": "heute morgen gestern übermorgen jetzt hier da dort dann später bald schon bereits online "
    "telefonisch persönlich samstags sonntags montags dienstags mittwochs donnerstags freitags "
    "abends morgens mittags nachts draußen drinnen drin oben unten zuhause daheim vormittags "
    "nachmittags wieder selbst selber trotzdem danach vorher nachher überhaupt eigentlich denn "
    "nicht bitte gerne gern nochmal nochmals noch-mal sofort gleich gerade derzeit hin her dafür "
    "damit-da dabei darüber davon dazu dagegen daran darauf täglich normalerweise leider irgendwo "
    "überall allein anders zusammen erst schnell sonst mal doch ja eben vielleicht immer "
    "weg zurück "
    "rein raus runter vorbei los fest bescheid gestern abend früh spät lange weiter her",
    # words that lean on what follows
    "k": "sehr ganz nur etwa ungefähr noch auch so mehr weniger zirka circa fast beinahe ziemlich "
    "besonders sogar ausgerechnet mindestens höchstens irgendein irgendeine herr doktor viel",
    "z": "ähm äh öhm hm also halt tja quasi sozusagen",
}
_ADJECTIVES = """neu willkommen alt groß klein gut schlecht hoch niedrig lang kurz erst offen
geöffnet
geschlossen frei voll leer kaputt defekt fertig bereit teuer billig günstig kostenlos gratis
möglich unmöglich nötig notwendig erforderlich gültig ungültig richtig falsch wichtig dringend
verfügbar zuständig pflicht erlaubt verboten gestattet inbegriffen enthalten krank gesund
schwanger müde sicher unsicher barrierefrei behindertengerecht tot laut leise warm kalt heiß nass
trocken sauber schmutzig schnell langsam rot blau grün schwarz weiß gelb grau dunkel hell jung
verheiratet ledig geschieden fällig überfällig abgelaufen verloren weg zu digital elektronisch
schriftlich nächst letzt vorig übrig ander eigen gleich verschieden halb ganz einfach schwer
leicht schwierig kompliziert früh spät aktuell lieb nett schlimm böse wert los schuld dran
ausgebucht ausverkauft beschädigt gestohlen gesperrt versichert berechtigt verpflichtet vegan
vegetarisch glutenfrei süß sauer scharf frisch weit nah fern entfernt stark schwach besetzt
erreichbar geeignet barfuß allergisch zufrieden unzufrieden enttäuscht verspätet pünktlich
gekündigt online gebührenpflichtig kostenpflichtig steuerfrei ausländisch deutsch fremd geparkt
gebraucht reserviert bezahlt vorhanden besonder speziell weiter zweit dritt viert fünft sechst
siebt acht neunt zehnt best schlimmst meist liebst höchst"""
# Weak verbs by stem: infinitive, persons, past and participle follow by rule.
_WEAK = """brauch kost frag mach sag meld zahl hol kauf wohn park such wart dauer hör
lern leb leih arbeit antwort änder beantrag benötig verlänger erneuer bestell buch reservier
stornier miet repar reparier reinig versicher verkauf bezahl überweis erklär zeig schick send
kündig beschwer informier registrier aktualisier organisier telefonier funktionier passier
kontrollier prüf erledig beweg erreich besuch besorg erhöh senk beschädig zerkratz kratz stell
setz leg häng speicher lad druck fax mail tausch wechsel umtausch klapp klingel regn schnei heiz
koch back putz spül dusch tanz spiel reis wander bad segel turn feier heirat schau guck warn
erinner öffn zeichn rechn lös füll pack hinterleg verschick veranlass vereinbar verabred verwend
nutz benutz bedeut gehör glaub hoff wünsch freu dank bau montier lager liefer spend sammel entsorg
recycel tank steuer sperr entsperr aktivier deaktivier installier lösch stör merk fehl reich lohn
gründ eröffn erstatt rückerstatt berechn ermittel überprüf bestätig akzeptier diskutier gratulier
operier behandel impf untersuch röntg entwickel veränder verringer reduzier verpass verspät
versäum erwart erlaub verdien fürcht klag verklag haft begleit führ betreu unterricht abonnier
abonn renovier saug dreh wend land start stopp rett lock schenk wähl stimm sorg zähl übernacht
kehr nähr fütter züchter bell jag streik kleb näh rauch tropf tapezier grill probier vermiet
notier buchstabier teil trenn versuch wiederhol beruhig beobacht bereit reagier protestier storn
regel gewöhn kümmer einig erb äußer abwickel wickel handel sicher mäh schäl salz würz rühr mix
duld hust nies atm blut juck schmerz pfleg verdopple schaff klau raub vermut vermiss beleg
beauftrag beantwort bedien roll zoll verzoll import exportier importier lackier markier
programmier installier filter verbrauch verarbeit veröffentlich ermäßig verkürz verzicht hak
beglaubig übersetz unterstütz stürz rutsch kipp crash krach ramm streif knall quietsch logg wackel
schalt leit zünd fass lehn laut red verlang beend verschrott verblass gründ wander sprüh grüß
klick tipp scann chat google"""
# Strong and mixed verbs: infinitive, I, he, past, participle.
_STRONG = """geben gebe gibt gab gegeben|nehmen nehme nimmt nahm genommen|kommen komme
kommt kam gekommen|gehen gehe geht ging gegangen|stehen stehe steht stand gestanden|finden finde
findet fand gefunden|bringen bringe bringt brachte gebracht|bekommen bekomme bekommt bekam
bekommen|fahren fahre fährt fuhr gefahren|tun tue tut tat getan|sehen sehe sieht sah gesehen|lesen
lese liest las gelesen| sprechen spreche spricht sprach gesprochen|helfen helfe hilft half
geholfen|treffen treffe trifft traf getroffen|werfen werfe wirft warf geworfen|sterben sterbe
stirbt starb gestorben|gelten gelte gilt galt gegolten|essen esse isst aß gegessen|vergessen
vergesse vergisst vergaß vergessen|messen messe misst maß gemessen|trinken trinke trinkt trank
getrunken|rufen rufe ruft rief gerufen|laufen laufe läuft lief gelaufen|schlafen schlafe schläft
schlief geschlafen|halten halte hält hielt gehalten|erhalten erhalte erhält erhielt
erhalten|behalten behalte behält behielt behalten|fallen falle fällt fiel gefallen|lassen lasse
lässt ließ gelassen|heißen heiße heißt hieß geheißen|tragen trage trägt trug getragen|schlagen
schlage schlägt schlug geschlagen|laden lade lädt lud geladen| waschen wasche wäscht wusch
gewaschen|wachsen wachse wächst wuchs gewachsen|schreiben schreibe schreibt schrieb
geschrieben|bleiben bleibe bleibt blieb geblieben|leihen leihe leiht lieh geliehen| steigen steige
steigt stieg gestiegen|entscheiden entscheide entscheidet entschied entschieden| unterscheiden
unterscheide unterscheidet unterschied unterschieden|streichen streiche streicht strich
gestrichen|reißen reiße reißt riss gerissen|ziehen ziehe zieht zog gezogen|fliegen fliege fliegt
flog geflogen|schließen schließe schließt schloss geschlossen|verlieren verliere verliert verlor
verloren|bieten biete bietet bot geboten|schieben schiebe schiebt schob geschoben|verschieben
verschiebe verschiebt verschob verschoben|frieren friere friert fror gefroren|fließen fließe
fließt floss geflossen|riechen rieche riecht roch gerochen|wissen weiß weiss wusste gewusst|denken
denke denkt dachte gedacht|kennen kenne kennt kannte gekannt|nennen nenne nennt nannte
genannt|brennen brenne brennt brannte gebrannt|rennen renne rennt rannte gerannt|liegen liege
liegt lag gelegen| sitzen sitze sitzt saß gesessen|beginnen beginne beginnt begann
begonnen|gewinnen gewinne gewinnt gewann gewonnen|schwimmen schwimme schwimmt schwamm
geschwommen|springen springe springt sprang gesprungen|singen singe singt sang gesungen|klingen
klinge klingt klang geklungen|binden binde bindet band gebunden|zwingen zwinge zwingt zwang
gezwungen|stehlen stehle stiehlt stahl gestohlen| brechen breche bricht brach gebrochen|empfehlen
empfehle empfiehlt empfahl empfohlen|befinden befinde befindet befand befunden|beweisen beweise
beweist bewies bewiesen|weisen weise weist wies gewiesen| überweisen überweise überweist überwies
überwiesen|scheinen scheine scheint schien geschienen| verbinden verbinde verbindet verband
verbunden|treten trete tritt trat getreten|fangen fange fängt fing gefangen|hängen hänge hängt
hing gehangen|raten rate rät riet geraten|beraten berate berät beriet beraten|betragen betrage
beträgt betrug betragen|entstehen entstehe entsteht entstand entstanden|verstehen verstehe
versteht verstand verstanden|geschehen geschehe geschieht geschah geschehen|unterschreiben
unterschreibe unterschreibt unterschrieb unterschrieben|verschreiben verschreibe verschreibt
verschrieb verschrieben|betreffen betreffe betrifft betraf betroffen| übernehmen übernehme
übernimmt übernahm übernommen|besitzen besitze besitzt besaß besessen|beißen beiße beißt biss
gebissen|stechen steche sticht stach gestochen|bitten bittet bat gebeten| gießen gieße gießt goss
gegossen|genießen genieße genießt genoss genossen|passen passe passt passte gepasst|lügen lüge
lügt log gelogen|enthalten enthalte enthält enthielt enthalten|vertreten vertrete vertritt vertrat
vertreten|wenden wende wendet wandte gewandt|schmecken schmecke schmeckt schmeckte
geschmeckt|abbrechen abbreche abbricht abbrach abgebrochen|kriegen kriege kriegt kriegte gekriegt|
verursachen verursache verursacht verursachte verursacht|beschreiben beschreibe beschreibt
beschrieb beschrieben|werben werbe wirbt warb geworben|heben hebe hebt hob gehoben|biegen biege
biegt bog gebogen|begleichen begleiche begleicht beglich beglichen|schneiden schneide schneidet
schnitt geschnitten|entlassen entlasse entlässt entließ entlassen|verlassen verlasse verlässt
verließ verlassen|wüsste wüsste wüsste wüsste gewusst|schwinden schwinde schwindet schwand
geschwunden|verderben verderbe verdirbt verdarb verdorben"""
_PREFIXES = """ab an auf aus bei ein mit nach um vor zu zurück weg her hin los fest be er ent
ver zer über unter wieder weiter durch fern teil statt frei hoch rein raus runter vorbei dazu
zusammen herunter herauf hinaus hinein voran heim bereit kennen kaputt ran hinzu bescheid um
vorüber miss gegen wider nieder frei fort rum gut krank tot teil haus gerade still sauber"""
# Verbs that are whole with a subject alone.
_INTRANSITIVE = """dauern funktionieren passieren gelten kosten wohnen parken warten leben
arbeiten gehen kommen laufen fahren fliegen schlafen essen trinken schwimmen klingeln regnen
schneien heißen bleiben liegen stehen sitzen fehlen beginnen sterben wachsen fallen lohnen öffnen
schließen telefonieren entstehen geschehen bedeuten betragen stimmen passen reichen zahlen
bezahlen riechen rauchen brennen klingen stinken tropfen verfallen enden starten landen halten
haften lügen streiken schmecken zählen rauchen sprechen streiken husten tropfen quietschen steigen
sinken reisen bellen helfen heilen wirken existieren klemmen frieren tun lauten"""
# Without its particle each of these usually is only half said, and the particle ends the clause.
_SEPARABLE = {
    "melden": "an ab um",
    "rufen": "an ab zurück auf",
    "holen": "ab nach ein rein",
    "nehmen": "mit an ab auf teil",
    "reichen": "ein nach weiter",
    "fangen": "an",
    "füllen": "aus ein",
    "schalten": "ein aus an frei ab um",
    "hören": "auf an zu",
    "laden": "herunter hoch auf runter ein",
    "lehnen": "ab",
    "legen": "auf vor fest ab an bei",
    "stellen": "ab an ein aus um her vor fest zu",
    "setzen": "zurück fort ein um",
    "schließen": "ab an auf aus",
    "ziehen": "um aus ein an ab zurück",
    "tauschen": "um aus",
    "steigen": "ein aus um",
    "heben": "ab auf",
    "werfen": "weg ein",
    "schicken": "zu ab mit zurück ein",
    "senden": "zu ein zurück",
    "geben": "ab an auf zurück ein aus weiter her",
    "kommen": "an vorbei mit zurück vor zurecht rein",
    "gehen": "los aus an auf kaputt weiter unter",
    "machen": "auf zu an aus mit weiter",
    "bringen": "mit vorbei zurück an um",
    "fallen": "aus an auf weg",
    "finden": "statt heraus raus",
    "laufen": "ab weg aus",
    "tragen": "ein aus nach",
    "zahlen": "ein aus zurück",
    "lösen": "ein aus ab",
    "zeichnen": "auf",
    "weisen": "nach an aus",
    "lesen": "ab vor",
    "fahren": "ab los weg vorbei zurück",
    "treten": "ein aus auf bei",
    "sagen": "ab zu bescheid",
    "bieten": "an",
    "kaufen": "ein",
    "checken": "ein aus",
    "brechen": "ab ein",
    "sehen": "aus ein an nach",
    "stehen": "auf an aus",
    "hängen": "ab auf",
    "drehen": "um auf zu",
    "wechseln": "um aus ein",
    "parken": "ein aus",
    "schreiben": "ein auf um aus",
    "fliegen": "ab",
    "rechnen": "an ab",
    "bauen": "ein um aus",
    "packen": "ein aus",
    "teilen": "mit ein",
}
HALF_SAID = words_of(
    "melden rufen holen nehmen reichen fangen füllen schalten lehnen heben tauschen"
)
# Nouns that announce the real question.
ANNOUNCING = words_of(
    "frage fragen problem probleme anliegen auskunft information informationen unterschied "
    "bitte sache thema art mal paar stück gruppe kurze"
)
# Verbs that announce what is asked: "ich wollte fragen", "können sie mir sagen".
SAYING = words_of(
    "fragen wissen sagen erklären hören glauben denken hoffen meinen nachfragen erfahren "
    "erkundigen mitteilen fragt frage weiß glaube denke hoffe sagt bitten versuchen finde "
    "verraten herausfinden dachte wüsste wissen"
)

DEFINITE = words_of("mein meine meinen ihr ihre ihren den die das der unsere")
# With "wo" or "wie" these ask for their particle: "wo gebe ich mein paket".
PLACING = words_of("geben stellen legen setzen laden ziehen")
THINKING = words_of("glaube denke hoffe fürchte meine finde vermute")
NEXT = words_of("nächste nächster nächstes nächsten letzte letzter letzten frist")
# "wo ist der chef da": a place adverb can be what is said of somebody.
PLACES = words_of("da hier weg zurück los dran zuhause dabei drin vorbei drinnen")
SINGULAR = words_of("ich du er es man jemand niemand")
# Forms that look like verbs and are nouns.
_NOUNS = words_of(
    "papieren tieren nieren bieren gericht gebiet gesicht gewicht geschäft gerät geburt "
    "gesetzt-neu getränken gebieten geschäften geräten gesetzen gebäuden gärten garten "
    "gebühren gebieten gehalt gehältern gewittern gerichten gesichtern nachbar nachbarn "
    "zeichen becher minuten "
    "unterlagen wagen mitarbeiter"
)
_ENDINGS = ("e", "en", "er", "es", "em")


def _weak(stem: str) -> tuple[str, list[str], str]:
    """Infinitive, finite forms, participle of a regular verb."""
    joint = "e" if stem[-1] in "td" or stem.endswith(("ffn", "chn", "dn", "gn")) else ""
    infinitive = stem + ("n" if stem.endswith(("er", "el")) and not stem.endswith("ier") else "en")
    fixed = stem.endswith("ier") or stem.startswith(
        ("be", "er", "ent", "ver", "zer", "übern", "überp", "überw", "unters", "unterr", "hinter")
    )
    finite = [stem + "e", stem + joint + "t", stem + joint + "te", stem + joint + "ten"]
    return infinitive, finite, ("" if fixed else "ge") + stem + joint + "t"


def _verbs() -> tuple[dict[str, str], dict[str, str], frozenset[str]]:
    """Infinitives and finite forms with their infinitive, and the participles."""
    infinitives: dict[str, str] = {}
    finites: dict[str, str] = {}
    participles: set[str] = set()
    for stem in _WEAK.split():
        infinitive, forms, participle = _weak(stem)
        infinitives[fold(infinitive)] = fold(infinitive)
        finites.update((fold(form), fold(infinitive)) for form in forms)
        participles.add(fold(participle))
    for entry in _STRONG.split("|"):
        infinitive, *forms, participle = entry.split()
        infinitives[fold(infinitive)] = fold(infinitive)
        finites.update((fold(form), fold(infinitive)) for form in forms)
        participles.add(fold(participle))
    return infinitives, finites, frozenset(participles)


INFINITIVES, FINITES, PARTICIPLES = _verbs()
PREFIXES = tuple(sorted({fold(p) for p in _PREFIXES.split()}, key=len, reverse=True))
INTRANSITIVE = frozenset(fold(_INTRANSITIVE).split())
SEPARABLE = {fold(verb): frozenset(fold(parts).split()) for verb, parts in _SEPARABLE.items()}
CLOSED = {fold(word): kind for kind, words in _CLOSED.items() for word in words.split()}
ADJECTIVES = {
    **{fold(a) + ending: "j" for a in _ADJECTIVES.split() for ending in _ENDINGS},
    **{fold(a) + "ste" + ending: "j" for a in _ADJECTIVES.split() for ending in ("", "n", "r")},
    **{fold(a): "a" for a in _ADJECTIVES.split()},
}
NOUNS = _NOUNS
