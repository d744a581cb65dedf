#!/usr/bin/env python3
"""Golden texts for records: 200 normalised strings and 60 canonical lines, from Python's own tables.

    python3 primitives/protocol/gen/text.py

writes tests/golden/normalised.json and tests/golden/lines.json. Only characters assigned in Unicode 14 are used, so any
newer table must agree: normalisation and case folding of assigned characters are stable.
"""

import json
import random
import unicodedata
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden"
WHITE_SPACE = set(
    [0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0x20, *range(0x9, 0xE), *range(0x2000, 0x200B)]
)
FIXED = [
    "", " ", "\t\n", "plain text", "  Two   words ", "Maße MASSE", "ﬃ ﬁ ﬅ", "İstanbul ı I", "ΣΊΣΥΦΟΣ σς", "Ⅷ ⅷ ①②",
    "ｆｕｌｌｗｉｄｔｈ ＡＢＣ", "ﾊﾝｶｸ ｶﾞ", "e\u0301 \u00e9", "A\u030a Å \u212b", "\u1e9e ß", "ŉ ǰ ΐ ΰ", "և ﬓ ﬔ", "ẞẖẗẘẙẚ",
    "ᾳ ᾼ ῼ ᾀ ᾈ", "\u0345 \u03b1\u0345", "x\u00a0y\u2003z\u3000w", "a\u2028b\u2029c\u0085d", "zero\u200bwidth\u200djoin",
    "½ ¼ ㎏ ㏒ ℃ №", "한글 \u1112\u1161\u11ab", "ｶ\uff9e", "🦀 👩\u200d🚀 🇩🇪", "ﷺ ﷲ", "𝐀𝑩𝓒 𝟙𝟚", "Ꭰ ꭰ ᏸ Ᏸ", "Ა ა ᲀ в", "K k K",
    "ſ s S", "µ μ", "\u0001\u001f\u007f", "\ufeffbom", "a\u0323\u0307 a\u0307\u0323", "\u0958 \u0915\u093c", "ǅ Ǆ ǆ",
    "Ω Ω ω", "Ⓐ ⓐ", "DŽ \u01c4", "ñ n\u0303 Ñ", "Привет МИР", "ԱԲԳ ևաբգ", "ⰀⰁ ⰰⰱ", "Ⲁ ⲁ", "Ꙁ ꙁ", "𐐀 𐐨", "𑢠 𑣀", "𞤀 𞤢",
    "x\u3000\u3000y ", "\u1680ogham\u1680", "tab\tand\x0bvt\x0cff", "\x1c\x1d\x1e\x1f not white",
]


def normalise(text: str) -> str:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words, word = [], []
    for c in text:
        if ord(c) in WHITE_SPACE:
            if word:
                words.append("".join(word))
            word = []
        else:
            word.append(c)
    if word:
        words.append("".join(word))
    return " ".join(words)


def main() -> None:
    rng = random.Random(20)
    assigned = [chr(c) for c in range(0x20, 0x20000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    special = [c for c in assigned if normalise("x" + c) != "x" + c]
    texts = list(FIXED)
    while len(texts) < 200:
        pool = special if rng.random() < 0.6 else assigned
        texts.append("".join(rng.choice(pool) for _ in range(rng.randint(1, 14))))
    rows = [[text, normalise(text)] for text in texts]
    (OUT / "normalised.json").write_text(json.dumps(rows, indent=0, ensure_ascii=True) + "\n")

    lines = []
    controls = [chr(c) for c in range(0x20)] + ['"', "\\", "/", "\x7f", "\u2028", "\u2029"]
    for i in range(60):
        messages, canonical = [], []
        for _ in range(rng.randint(1, 4)):
            role = rng.choice(["system", "user", "assistant", "tool"])
            pool = controls if i % 3 == 0 else assigned
            content = "".join(rng.choice(pool) for _ in range(rng.randint(0, 12)))
            weight = 0 if rng.random() < 0.2 else 1
            messages.append([role, content, weight])
            message = {"role": role, "content": content}
            if weight == 0:
                message["weight"] = 0
            canonical.append(message)
        line = json.dumps({"messages": canonical}, ensure_ascii=False, separators=(",", ":"))
        lines.append([messages, line])
    (OUT / "lines.json").write_text(json.dumps(lines, indent=0, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
