/** The page's words in both languages; a test holds their keys against each other. */

/** @typedef {"de" | "en"} Language */

const EN = {
  "page.title": "TOM – talk to the assistant",
  "language": "Language",
  "hero.title": "What would you like to know?",
  "hero.lead":
    "Press the button and ask. An AI answers. You can interrupt it at any time, just by speaking.",
  "conversation": "Conversation",
  "controls": "Call controls",
  "you": "You",
  "tom": "TOM",
  "call": "Call",
  "cancel": "Cancel",
  "hangup": "Hang up",
  "again": "Call again",
  "retry": "Try again",
  "type_instead": "Type instead",
  "mute": "Mute",
  "keypad": "Keypad",
  "key": "Key {digit}",
  "key.star": "Star key",
  "key.hash": "Hash key",
  "typed.label": "Message to TOM",
  "typed.placeholder": "Or type here …",
  "typed.only": "Type here …",
  "send": "Send",
  "level": "Microphone level",
  "mic": "Microphone",
  "mic.default": "Standard microphone",
  "mic.denied":
    "The microphone is blocked, so this call goes on typed. To speak, allow the microphone for this page in your browser and call again.",
  "mic.missing":
    "No microphone was found, so this call goes on typed. To speak, connect one and call again.",
  "mic.taken":
    "The microphone is in use by another program, so this call goes on typed. Close that program and call again to speak.",
  "mic.insecure":
    "Browsers allow the microphone on secure pages (https) only, so this call goes on typed.",
  "mic.unsupported":
    "This browser gives no access to a microphone, so this call goes on typed.",
  "mic.lost": "The microphone has gone. You can go on by typing, or choose another one.",
  "mic.unchanged": "That microphone cannot be used; the call stays with the one before.",
  "webrtc.failed":
    "No direct connection came about, so the call goes on over a slower one.",
  "stalled": "Your browser has paused the sound. Touch the page to go on.",
  "state.idle": "Ready",
  "state.asking_mic": "Please allow the microphone …",
  "state.connecting": "Connecting …",
  "state.ringing": "Ringing …",
  "state.greeting": "TOM is greeting you",
  "state.listening": "Listening",
  "state.reading": "Your turn",
  "state.hearing": "Hearing you",
  "state.thinking": "Thinking …",
  "state.speaking": "TOM is speaking",
  "state.handing_over": "Handing you over",
  "state.asking_rating": "Asking for a rating",
  "state.awaiting_rating": "Waiting for a rating",
  "state.thanking": "TOM says goodbye",
  "state.ended": "Call ended",
  "state.hanging_up": "Hanging up …",
  "rating.question": "How was this call?",
  "rating.how": "Say a number, press a key from 1 to 5, or choose here.",
  "rating.how_typed": "Choose here, or type a number from 1 to 5.",
  "rating.star": "{stars} of 5 stars",
  "rating.one_star": "1 of 5 stars",
  "rating.thanks": "Thank you for your rating: {stars} of 5",
  "rating.none": "The call ends without a rating",
  "rating.late": "You can still rate it: choose here, or press a key from 1 to 5.",
  "rating.sending": "Sending your rating …",
  "rating.failed": "Your rating did not get through. Please choose again.",
  "rating.too_late": "This call cannot be rated any more.",
  "latency": "{seconds} s",
  "latency.label": "Answered after {seconds} seconds, details",
  "sources": "Sources",
  "page": "page {page}",
  "insight.variant": "Variant {variant} · propensity {propensity}",
  "insight.reward": "Variant {variant} · propensity {propensity} · reward {reward}",
  "insight.nothing": "Variant {variant} · propensity {propensity} · no reward",
  "insight.missing": "Not known: {names}",
  "insight.next": "Who will speak in the next call",
  "interrupted": "You interrupted here",
  "transfer": "You are being handed over to {target}.",
  "ended.completed": "The call has ended. Thank you.",
  "ended.caller_hung_up": "You have hung up.",
  "ended.no_input": "Nothing was heard from you for a while, so the call has ended.",
  "ended.handover": "You have been handed over. This call has ended.",
  "ended.closed": "The call has ended. Thank you for calling.",
  "ended.time_limit": "The call has reached its longest time and has ended.",
  "ended.opted_out": "You will not be called again. This call has ended.",
  "ended.failure": "Something failed on our side and the call had to end. Please try again.",
  "ended.shutdown": "The service is being restarted, so the call has ended. Please try again soon.",
  "trouble.busy": "All lines are busy. Please try again in a few seconds.",
  "trouble.fault": "Something went wrong on our side. Please try again.",
  "trouble.forbidden": "This link does not allow the call, or it has expired. Please ask for a new one.",
  "trouble.lost": "The connection was lost. Please try again.",
  "trouble.profile": "There is no assistant under this address in this language.",
  "trouble.shutdown": "The service is being restarted. Please try again soon.",
  "trouble.sound": "Your browser could not start the sound. Please try again, or type instead.",
  "trouble.timeout": "Nothing arrived for too long, so the call was ended. Please try again.",
  "trouble.too_many": "Too many calls have come from your network. Please wait a minute.",
  "trouble.unreachable":
    "The service cannot be reached. Check your connection and try again.",
  "stage.endpoint": "Noticing that you had finished",
  "stage.stt": "Understanding",
  "stage.retrieve": "Looking up",
  "stage.generate": "Wording the answer",
  "stage.speak": "Preparing the voice",
  "stage.playout": "Sending",
};

/** @type {typeof EN} */
const DE = {
  "page.title": "TOM – mit dem Assistenten sprechen",
  "language": "Sprache",
  "hero.title": "Was möchten Sie wissen?",
  "hero.lead":
    "Drücken Sie auf den Knopf und fragen Sie. Eine KI antwortet. Sie können ihr jederzeit ins Wort fallen: einfach sprechen.",
  "conversation": "Gespräch",
  "controls": "Anruf steuern",
  "you": "Sie",
  "tom": "TOM",
  "call": "Anrufen",
  "cancel": "Abbrechen",
  "hangup": "Auflegen",
  "again": "Erneut anrufen",
  "retry": "Erneut versuchen",
  "type_instead": "Lieber tippen",
  "mute": "Stumm",
  "keypad": "Tasten",
  "key": "Taste {digit}",
  "key.star": "Sterntaste",
  "key.hash": "Rautetaste",
  "typed.label": "Nachricht an TOM",
  "typed.placeholder": "Oder hier tippen …",
  "typed.only": "Hier tippen …",
  "send": "Senden",
  "level": "Mikrofonpegel",
  "mic": "Mikrofon",
  "mic.default": "Standardmikrofon",
  "mic.denied":
    "Das Mikrofon ist gesperrt, deshalb geht der Anruf getippt weiter. Zum Sprechen erlauben Sie im Browser das Mikrofon für diese Seite und rufen erneut an.",
  "mic.missing":
    "Es wurde kein Mikrofon gefunden, deshalb geht der Anruf getippt weiter. Zum Sprechen schließen Sie eines an und rufen erneut an.",
  "mic.taken":
    "Ein anderes Programm benutzt das Mikrofon, deshalb geht der Anruf getippt weiter. Zum Sprechen schließen Sie das Programm und rufen erneut an.",
  "mic.insecure":
    "Browser erlauben das Mikrofon nur auf sicheren Seiten (https), deshalb geht der Anruf getippt weiter.",
  "mic.unsupported":
    "Dieser Browser gibt kein Mikrofon frei, deshalb geht der Anruf getippt weiter.",
  "mic.lost": "Das Mikrofon ist weg. Sie können tippen oder ein anderes wählen.",
  "mic.unchanged": "Dieses Mikrofon lässt sich nicht benutzen; es bleibt beim bisherigen.",
  "webrtc.failed":
    "Eine direkte Verbindung kam nicht zustande, deshalb läuft der Anruf über eine langsamere weiter.",
  "stalled": "Ihr Browser hat den Ton angehalten. Berühren Sie die Seite, dann geht es weiter.",
  "state.idle": "Bereit",
  "state.asking_mic": "Bitte das Mikrofon erlauben …",
  "state.connecting": "Verbinde …",
  "state.ringing": "Es klingelt …",
  "state.greeting": "TOM begrüßt Sie",
  "state.listening": "Hört zu",
  "state.reading": "Sie sind dran",
  "state.hearing": "Hört Sie sprechen",
  "state.thinking": "Denkt nach …",
  "state.speaking": "TOM spricht",
  "state.handing_over": "Sie werden verbunden",
  "state.asking_rating": "Bittet um Bewertung",
  "state.awaiting_rating": "Wartet auf Bewertung",
  "state.thanking": "TOM verabschiedet sich",
  "state.ended": "Anruf beendet",
  "state.hanging_up": "Lege auf …",
  "rating.question": "Wie war dieser Anruf?",
  "rating.how": "Sagen Sie eine Zahl, drücken Sie eine Taste von 1 bis 5, oder wählen Sie hier.",
  "rating.how_typed": "Wählen Sie hier, oder tippen Sie eine Zahl von 1 bis 5.",
  "rating.star": "{stars} von 5 Sternen",
  "rating.one_star": "1 von 5 Sternen",
  "rating.thanks": "Danke für Ihre Bewertung: {stars} von 5",
  "rating.none": "Der Anruf endet ohne Bewertung",
  "rating.late": "Sie können ihn noch bewerten: Wählen Sie hier, oder drücken Sie eine Taste von 1 bis 5.",
  "rating.sending": "Ihre Bewertung wird gesendet …",
  "rating.failed": "Ihre Bewertung kam nicht an. Bitte wählen Sie noch einmal.",
  "rating.too_late": "Dieser Anruf kann nicht mehr bewertet werden.",
  "latency": "{seconds} s",
  "latency.label": "Geantwortet nach {seconds} Sekunden, Einzelheiten",
  "sources": "Quellen",
  "page": "Seite {page}",
  "insight.variant": "Variante {variant} · Propensity {propensity}",
  "insight.reward": "Variante {variant} · Propensity {propensity} · Belohnung {reward}",
  "insight.nothing": "Variante {variant} · Propensity {propensity} · keine Belohnung",
  "insight.missing": "Nicht bekannt: {names}",
  "insight.next": "Wer im nächsten Anruf spricht",
  "interrupted": "Hier haben Sie unterbrochen",
  "transfer": "Sie werden verbunden: {target}.",
  "ended.completed": "Der Anruf ist beendet. Vielen Dank.",
  "ended.caller_hung_up": "Sie haben aufgelegt.",
  "ended.no_input": "Von Ihnen war eine Weile nichts zu hören, deshalb ist der Anruf beendet.",
  "ended.handover": "Sie wurden verbunden. Dieser Anruf ist beendet.",
  "ended.closed": "Der Anruf ist beendet. Danke für Ihren Anruf.",
  "ended.time_limit": "Der Anruf hat seine längste Dauer erreicht und ist beendet.",
  "ended.opted_out": "Sie werden nicht wieder angerufen. Dieser Anruf ist beendet.",
  "ended.failure": "Bei uns ist etwas ausgefallen, der Anruf musste enden. Bitte versuchen Sie es erneut.",
  "ended.shutdown": "Der Dienst startet neu, deshalb ist der Anruf beendet. Bitte versuchen Sie es gleich noch einmal.",
  "trouble.busy": "Alle Leitungen sind besetzt. Bitte versuchen Sie es in ein paar Sekunden erneut.",
  "trouble.fault": "Bei uns ist etwas schiefgegangen. Bitte versuchen Sie es erneut.",
  "trouble.forbidden": "Dieser Link erlaubt den Anruf nicht, oder er ist abgelaufen. Bitte lassen Sie sich einen neuen geben.",
  "trouble.lost": "Die Verbindung ist abgerissen. Bitte versuchen Sie es erneut.",
  "trouble.profile": "Unter dieser Adresse gibt es in dieser Sprache keinen Assistenten.",
  "trouble.shutdown": "Der Dienst startet neu. Bitte versuchen Sie es gleich noch einmal.",
  "trouble.sound": "Ihr Browser konnte den Ton nicht starten. Versuchen Sie es erneut, oder tippen Sie.",
  "trouble.timeout": "Zu lange kam nichts an, deshalb wurde der Anruf beendet. Bitte versuchen Sie es erneut.",
  "trouble.too_many": "Aus Ihrem Netz kamen zu viele Anrufe. Bitte warten Sie eine Minute.",
  "trouble.unreachable":
    "Der Dienst ist nicht zu erreichen. Prüfen Sie Ihre Verbindung und versuchen Sie es erneut.",
  "stage.endpoint": "Merken, dass Sie fertig sind",
  "stage.stt": "Verstehen",
  "stage.retrieve": "Nachschlagen",
  "stage.generate": "Antwort formulieren",
  "stage.speak": "Stimme vorbereiten",
  "stage.playout": "Senden",
};

/** @type {Record<Language, Record<string, string>>} */
const WORDS = { en: EN, de: DE };
const STORED = "tom.language";

/** @type {Language} */
let language = "en";

/** @returns {Language} */
export const spokenLanguage = () => language;

/** @returns {Language} The one chosen last time, or else the browser's. */
export function preferredLanguage() {
  try {
    const stored = localStorage.getItem(STORED);
    if (stored === "de" || stored === "en") return stored;
  } catch {
    // Storage may be blocked; the browser's own language will do.
  }
  return navigator.language.toLowerCase().startsWith("de") ? "de" : "en";
}

/** @param {Language} chosen By the caller: it is used, and remembered for the next visit. */
export function chooseLanguage(chosen) {
  useLanguage(chosen);
  try {
    localStorage.setItem(STORED, chosen);
  } catch {
    // Then it holds for this visit alone.
  }
}

/** @param {Language} used */
export function useLanguage(used) {
  language = used;
  document.documentElement.lang = used;
  document.title = t("page.title");
  for (const element of document.querySelectorAll("[data-t]")) translate(element);
}

/**
 * Give an element its words, and again whenever the language changes.
 * @param {Element} element
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function say(element, key, values = {}) {
  element.setAttribute("data-t", key);
  element.setAttribute("data-t-values", JSON.stringify(values));
  translate(element);
}

/**
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string} The words, or the key itself when there are none.
 */
export function t(key, values = {}) {
  const words = WORDS[language][key] ?? key;
  return words.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** @param {string} key @returns {boolean} */
export const hasWords = (key) => key in EN;

/** @param {number} value @param {number} digits @returns {string} As the language writes it. */
export const number = (value, digits) =>
  value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** @param {Element} element `data-t-to` names an attribute; otherwise its text is set. */
function translate(element) {
  const values = JSON.parse(element.getAttribute("data-t-values") ?? "{}");
  const words = t(element.getAttribute("data-t") ?? "", values);
  const attribute = element.getAttribute("data-t-to");
  if (attribute) element.setAttribute(attribute, words);
  else element.textContent = words;
}
