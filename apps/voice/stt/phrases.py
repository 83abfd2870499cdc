"""What English callers say whatever the profile is about: dialogue, openings, ratings, classes.

Plain data for the language model; nothing here is matched against what was heard.
"""

from __future__ import annotations

DIALOGUE = (
    "yes", "yes please", "yeah", "yep", "sure", "okay", "okay thanks", "all right", "right",
    "no", "no thanks", "no thank you", "nope", "not really", "no that's all", "that's all",
    "that's it", "that's all thanks", "that was all thank you", "nothing else", "no that's it",
    "yes that helps", "yes that answers my question", "that's what i wanted to know",
    "that didn't help", "that's not what i asked", "no that's wrong", "you misunderstood me",
    "thanks", "thank you", "thank you very much", "thanks a lot", "many thanks", "great thanks",
    "perfect thank you", "thanks for your help", "thank you that's all i needed",
    "goodbye", "bye", "bye bye", "good bye", "thanks bye", "thank you goodbye",
    "okay thank you goodbye", "that's all goodbye", "see you", "have a nice day",
    "hello", "hi", "hi there", "good morning", "good afternoon", "good evening", "good day",
    "repeat please", "please repeat that", "could you repeat that please", "say that again",
    "can you say that again please", "pardon", "sorry", "excuse me", "what did you say",
    "i didn't understand that", "i didn't catch that", "sorry what was that", "once more please",
    "slower please", "could you speak slower", "please speak more slowly", "speak louder please",
    "human agent", "human agent please", "agent", "an agent please", "operator", "a person please",
    "i want to speak to a human", "i want to talk to a human agent", "let me talk to a person",
    "can i speak to someone", "can i speak with a real person", "i'd like to speak to an agent",
    "please put me through to an agent", "put me through", "transfer me to a human please",
    "connect me to a person", "get me a human", "i want to talk to somebody", "customer service",
    "is there a real person i can talk to", "a human please", "real person",
    "and how much is that", "how much is that", "how much does that cost", "what does that cost",
    "and what does it cost", "and the price", "what's the fee for that", "how expensive is that",
    "is that free", "do i have to pay for that", "and how much would that be",
    "how long does that take", "and how long does it take", "when will it be ready",
    "what do i need for that", "what do i have to bring", "and what do i need to bring",
    "which documents do i need for that", "and which papers", "do i need an appointment for that",
    "can i do that online", "and can i do that on the internet", "where do i do that",
    "where is that", "and where is it", "when is that", "and when are you open", "what about that",
    "can somebody else do that for me", "do i have to come in person", "is that possible",
    "how does that work", "and how do i do that", "and then", "what happens then", "why is that",
    "and on saturday", "and online", "and what about a used one", "and for a motorbike",
    "what if i don't have that", "what if i lost it", "and if it's not my car", "tell me more",
    "can you tell me more about that", "i have another question", "one more question",
    "i have a question", "just one question", "wait", "wait a moment", "hold on", "one moment",
    "stop", "stop please", "never mind", "cancel that", "start over", "help", "can you help me",
    "who are you", "am i talking to a machine", "are you a robot", "are you a real person",
)  # fmt: skip

FILLERS = ("um", "uh", "well", "so", "okay", "hello", "hi", "good morning", "excuse me", "sorry",
           "yes", "and", "but", "please", "could you tell me", "can you tell me", "i wonder",
           "i'd like to know", "i have a question", "actually")  # fmt: skip
"""May stand before any question."""

INFINITIVE_LEADS = (
    "how do i", "how can i", "how could i", "how would i", "can i", "could i", "may i", "should i",
    "can you", "could you", "will you", "do i have to", "do i need to", "have i got to", "must i",
    "i want to", "i'd like to", "i would like to", "i need to", "i have to", "i must",
    "i wanted to",
    "we want to", "we'd like to", "we need to", "we have to", "can we", "how do we", "how can we",
    "is it possible to", "is it okay to", "is it allowed to", "am i allowed to", "i'm trying to",
    "where do i", "where can i", "where do i have to", "when can i", "when do i have to",
    "what do i need to", "what do i have to do to", "what do i need if i want to",
    "is there a way to",
    "what does it cost to", "how much does it cost to", "how much is it to", "what do i pay to",
    "how long does it take to", "how do i go about", "can somebody else", "could someone else",
    "which documents do i need to", "what papers do i need to", "what do i bring to",
    "do i need an appointment to", "could you tell me how to", "can you tell me how to",
    "i don't know how to", "i forgot to", "i'm going to", "i'd rather", "can my friend",
    "how soon can i", "how soon do i have to", "how long can i", "do you",  "what happens if i",
    "what if i", "what happens when i", "before i", "after i", "if i", "when i",
)  # fmt: skip
"""Followed by a verb phrase; what follows one of them may follow any other."""

WORD_CLASSES = (
    ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    ("january", "february", "march", "april", "may", "june", "july", "august", "september",
     "october", "november", "december"),
    ("today", "tomorrow", "tonight", "now"),
    ("morning", "afternoon", "evening"),
    ("week", "month", "year"),
    ("wife", "husband", "son", "daughter", "brother", "sister", "mother", "father", "friend",
     "uncle", "aunt", "neighbour", "partner", "parents", "grandmother", "grandfather"),
    ("france", "spain", "poland", "italy", "austria", "switzerland", "denmark", "belgium",
     "sweden", "turkey", "england", "greece", "portugal", "romania", "america", "germany"),
    ("french", "spanish", "polish", "italian", "austrian", "swiss", "danish", "dutch", "belgian",
     "swedish", "turkish", "english", "greek", "american", "foreign", "german"),
    ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "twenty"),
    ("first", "second", "third"),
    ("my", "our", "his", "her", "the", "a"),
)  # fmt: skip
"""A word of a class may stand where another does."""

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "zero")
"""Also those that are no rating, so that a seven is heard as one."""

SCORES = (
    "{n}", "a {n}", "{n} stars", "{n} star", "{n} points", "{n} out of five", "{n} of five",
    "a {n} out of five", "{n} stars out of five", "{n} out of ten", "{n} point five",
    "{n} and a half", "number {n}", "{n} or {m}", "{n} maybe {m}", "{n} no {m}",
    "between {n} and {m}", "{n} maybe a {m}", "a {n} or a {m}", "not {n} but {m}",
)  # fmt: skip
"""{m} is any other number."""

VERDICTS = (
    "good", "very good", "really good", "pretty good", "quite good", "not so good", "not good",
    "not very good", "bad", "very bad", "really bad", "not bad", "okay", "it was okay", "all right",
    "fine", "excellent", "perfect", "great", "really great", "fantastic", "wonderful", "brilliant",
    "terrible", "awful", "horrible", "average", "satisfied", "very satisfied", "not satisfied",
    "happy", "very happy", "unhappy", "helpful", "very helpful", "not helpful", "poor", "so so",
)  # fmt: skip

BEFORE_RATING = (
    "i'd say", "i would say", "i'd say it was", "i think", "i give you", "i'd give you",
    "i'd give it",
    "i give it", "i'd give that", "i'll give you", "i would give you", "make it", "let's say",
    "maybe", "that's", "that was", "it's", "it was", "i'd rate it", "i rate it", "i was", "i'm",
    "definitely", "my rating is", "about", "um", "uh", "well", "okay", "yes", "hm", "oh",
)  # fmt: skip

AFTER_RATING = (
    "please", "thanks", "thank you", "goodbye", "bye", "i think", "i guess", "maybe", "definitely",
    "i would say", "for you", "for the call", "thank you goodbye",
)  # fmt: skip

NO_RATING = (
    "no", "no thanks", "no thank you", "i'd rather not", "no rating", "i don't want to", "skip",
    "skip it", "i don't want to rate you", "i don't want to rate this", "not now", "no comment",
    "i don't know", "nothing", "goodbye", "bye", "no i don't", "no time", "i have no time",
    "none of your business", "leave me alone", "what", "what do you mean", "sorry",
)  # fmt: skip
