"""What the answer lexer knows by name: functions, letters, layout commands, synonyms, Unicode signs."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS = _words(
    "sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan arccot arcsec arccsc asin acos atan ln log lg "
    "exp sqrt cbrt abs floor ceil gcd lcm max min sech csch arcsinh arccosh arctanh arcsech arccsch arccoth arsinh "
    "arcosh artanh asinh acosh atanh asec acsc acot cis det"
)
GREEK = _words(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell hbar"
)
ENGLISH = _words(
    "the is are was an of to in at on by for no yes not all any odd one two six ten red we so it its be he she her his "
    "him our you if as my me us am pm day off ago per but can has had did do get got let may now old own say see too "
    "use via way who why yet thus then than that with from this"
)
SHORT_UNITS = _words("cm mm km in ft yd mi kg mg lb oz ml mL hr min sec kWh mph kph pct km gal deg rad Hz kHz nm")
# Words that no unit contains: numbers, operators, comparisons, connectives, copulas, hedges, judgements.
NO_UNIT = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand "
    "thousands million millions billion billions trillion trillions half halves third thirds quarter quarters "
    "fourth fourths fifth fifths sixth sixths seventh sevenths eighth eighths ninth ninths tenth tenths hundredth "
    "hundredths thousandth thousandths dozen dozens score scores gross twice double triple mil bn plus minus over "
    "by divided multiplied squared cubed power powers raised exponent root factorial choose mod modulo remainder "
    "negative positive less more fewer greater bigger larger smaller least most or and to up out than but not no "
    "nor never except excluding without then through until till from between versus vs if when where whenever "
    "unless while either neither both other otherwise else also is are was were be isn aren equals equal means "
    "makes gives into upto plusminus maybe possibly perhaps probably might may could can approximately about around "
    "roughly nearly almost ish so right wrong correct incorrect true false answer guess actually rather instead "
    "impossible below above under before after ago late early short behind ahead off against base mean since "
    "because minimum maximum min max onwards onward increase decrease unknown undefined infinite infinity pi "
    "squareroot something what which whichever who it this that these"
)
MULTIPLIERS = {
    "dozen": 12, "dozens": 12, "score": 20, "hundred": 100, "thousand": 10**3, "million": 10**6, "millions": 10**6,
    "billion": 10**9, "billions": 10**9, "trillion": 10**12, "trillions": 10**12, "hundreds": 100, "thousands": 10**3,
}  # fmt: skip
CONNECTIVES = frozenset({"and", "or"})
NAMED = {"pi": "pi", "infty": "infty", "infinity": "infty", "inf": "infty", "oo": "infty", "Infinity": "infty"}
TEXT_COMMANDS = _words(
    "text textbf textit textrm textnormal textup textsf texttt mbox hbox mathrm mathbf mathit mathsf rm"
)
LAYOUT = _words(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle textstyle scriptstyle "
    "limits nolimits quad qquad thinspace medspace thickspace negthinspace hfill hline boldsymbol bm mathop middle rm "
    "bf it enspace space nonumber underline ensuremath pmb large Large LARGE huge Huge small tiny normalsize bfseries "
    "itshape protect strut displaylimits mathstrut centering"
)
SAME = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom", "le": "leq", "ge": "geq",
    "leqslant": "leq", "geqslant": "geq", "ne": "neq", "lt": "<", "gt": ">", "times": "*", "cdot": "*", "ast": "*",
    "div": "/", "lbrace": "{", "rbrace": "}", "lbrack": "[", "rbrack": "]", "land": "and", "wedge": "and", "lor": "or",
    "vee": "or", "degree": "circ", "emptyset": "varnothing", "to": "rightarrow", "dots": "ldots", "cdots": "ldots",
    "dotsc": "ldots", "dotsb": "ldots", "overline": "bar", "dot": "bar", "vert": "|", "mid": "|", "lvert": "lbar",
    "rvert": "rbar", "colon": ":", "backslash": "setminus", "approxeq": "approx", "simeq": "approx",
    "implies": "Rightarrow",
    "Longrightarrow": "Rightarrow", "longrightarrow": "rightarrow", "iff": "Leftrightarrow",
    "bigcup": "cup", "bigcap": "cap", "varPi": "pi", "lang": "langle", "rang": "rangle",
    "top": "T", "intercal": "T",
}  # fmt: skip
UNICODE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ",
    "÷": "/", "∕": "/", "⁄": "/", "π": r"\pi ", "∞": r"\infty ", "≤": r"\leq ", "≥": r"\geq ", "⩽": r"\leq ",
    "⩾": r"\geq ", "≠": r"\neq ", "≈": r"\approx ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap ",
    "∈": r"\in ", "∖": r"\setminus ", "∅": r"\varnothing ", "°": r"^{\circ}", "º": r"^{\circ}", "ℝ": r"\mathbb{R}",
    "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "∧": " and ", "∨": " or ", "⟨": r"\langle ",
    "⟩": r"\rangle ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "…": r"\ldots ",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    "⅕": r"\frac{1}{5}", "⅛": r"\frac{1}{8}", "√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]", "θ": r"\theta ",
    "α": r"\alpha ",
    "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "μ": r"\mu ", "φ": r"\phi ", "ω": r"\omega ", "σ": r"\sigma ",
    "δ": r"\delta ", "ε": r"\epsilon ", "ρ": r"\rho ", "τ": r"\tau ", "ψ": r"\psi ", "Δ": r"\Delta ", "Ω": r"\Omega ",
    "\x0crac": r"\frac", "\x08oxed": r"\boxed", "\x08inom": r"\binom", "\u200b": "", "\ufeff": "", "“": '"', "”": '"',
    "、": ",", "’": "'", "‘": "'", "′": "'", "→": r"\rightarrow ", "⇒": r"\Rightarrow ", "∑": r"\sum ", "∫": r"\int ",
    "€": r"\text{euro}", "£": r"\text{pound sterling}", "¥": r"\text{yen}", "₹": r"\text{rupee}", "¢": r"\text{cent}",
}  # fmt: skip
