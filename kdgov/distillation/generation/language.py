"""Which language a text is in, by its script and its commonest words: enough to filter by, for texts of a few words and more."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

# The commonest function words of each language in Latin or Cyrillic letters. Words that two languages share count for both.
_WORDS = {
    "en": "the of and to in is it that for you was with on are be this have not but they his from at as what can will would there your "
    "an or which if we has more when i by how do",
    "de": "der die das und ist nicht ich zu ein eine in den von mit sie es für auf dem im auch sich des als wird an aus bei nach wie "
    "einen einer kann wir sind oder aber werden zum zur du",
    "fr": "le la les de des et est un une pas que pour dans ce il qui vous je en sur au avec se plus ne nous par sont du mais ou cette "
    "être elle on aux comme peut l d c",
    "es": "el la los las de y que en un una es no por con para se lo su al del como más pero sus le ya o este sí porque esta son entre "
    "está cuando muy puede hay",
    "it": "il lo la gli le di e che è un una non per con si del della sono da in come più ma nel anche dei alla ha questo o se mi "
    "delle può essere i al",
    "pt": "o a os as de e que em um uma é não por com para se do da no na como mais mas dos das ao ou seu sua são pode você isso "
    "está foi ser também pelo",
    "nl": "de het een en van is dat niet in je ik op te zijn voor met die er maar aan om ook wat kan als bij deze wordt naar door of "
    "worden heeft uit nog",
    "sv": "och att det som en på är av för med den till inte om ett han men var jag sig från vi så kan man när år under också efter "
    "eller nu sin där vid mot ska",
    "pl": "i w na z się nie do to jest że o jak za po co dla od ale czy tak przez są ten być może było jego tylko oraz już który jako "
    "które lub można",
    "tr": "ve bir bu da de için ile çok ne gibi daha olarak var en ben sen o mi kadar sonra ama olan değil olan her şey ya ise ancak "
    "olarak yok veya",
    "ru": "и в не на что я с он как это по но из у за от так же для то все вы мы о бы или если был может есть только она они быть при к",
    "uk": "і в не на що я з він як це по але із у за від так для то всі ви ми про або якщо був може є тільки вона вони бути при до та й",
}
_OF_WORD: dict[str, tuple[str, ...]] = {}
for _language, _said in _WORDS.items():
    for _word in set(_said.split()):
        _OF_WORD[_word] = (*_OF_WORD.get(_word, ()), _language)
_SCRIPTS = {
    "HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh", "ARABIC": "ar", "HEBREW": "he", "GREEK": "el", "THAI": "th",
    "DEVANAGARI": "hi",
}  # fmt: skip
_TOLD_BY_WORDS = {"LATIN", "CYRILLIC"}
_WORD = re.compile(r"[^\W\d_]+")
_CODE = re.compile(r"```.*?(```|\Z)|`[^`]*`", re.DOTALL)
_CHARACTERS = 4000
_FEWEST_WORDS, _FEWEST_LETTERS = 2, 4


def language_of(text: str) -> str:
    """ISO 639-1 code of the language most of a text is in; empty where it is too short or too mixed to tell. Code is left out.

    >>> language_of("Das ist nicht der richtige Weg, und ich kann es auch erklären."), language_of("42")
    ('de', '')
    """
    plain = unicodedata.normalize("NFC", _CODE.sub(" ", text)[:_CHARACTERS])
    scripts = Counter(_script(letter) for letter in plain if letter.isalpha())
    if sum(scripts.values()) < _FEWEST_LETTERS:
        return ""
    # A few kana among Chinese characters make a text Japanese; a Chinese text has none.
    if scripts["HIRAGANA"] + scripts["KATAKANA"] > 0.05 * scripts["CJK"] and scripts["HIRAGANA"] > 0:
        scripts["HIRAGANA"] += scripts.pop("CJK", 0)
    commonest, count = scripts.most_common(1)[0]
    if 2 * count < sum(scripts.values()):
        return ""
    return _SCRIPTS.get(commonest, "") if commonest not in _TOLD_BY_WORDS else _by_words(plain.lower())


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0].split("-")[0]


def _by_words(text: str) -> str:
    words = _WORD.findall(text)
    found: Counter[str] = Counter()
    hits = 0
    for word in words:
        languages = _OF_WORD.get(word, ())
        hits += bool(languages)
        for language in languages:
            # A word that few languages share says more.
            found[language] += 60 // len(languages)
    ranked = found.most_common(2)
    if hits < _FEWEST_WORDS or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return ""
    return ranked[0][0]
