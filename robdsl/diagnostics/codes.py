"""Every kind of mistake there is, with its entry in the error index (docs/errors.md).

R1xx text, R2xx names, R3xx values, R4xx cells, nets and shapes, R5xx choices, R6xx bounds; Wxxx are warnings.
A code never changes its meaning.
"""

from __future__ import annotations

from robdsl.diagnostics.diagnostic import Code

# --- R1xx: text --------------------------------------------------------------------------------------------

CHARACTER = Code(
    "R101",
    "`{character}` has no meaning in a .rob file",
    "A character that the language does not use stands outside a comment or a string. Remove it.",
)
UNCLOSED = Code(
    "R102",
    "`{bracket}` is never closed",
    "An opening bracket has no partner before its block or the file ends. Close it where the label points.",
)
UNMATCHED = Code(
    "R103",
    "`{bracket}` closes nothing",
    "A closing bracket has no opening partner. Remove it, or open one before it.",
)
UNEXPECTED = Code(
    "R104",
    "unexpected `{found}`",
    "The text does not follow the grammar here. The label says what could stand in this place.",
)
INCOMPLETE = Code(
    "R105",
    "this statement is not finished",
    "A statement ends with its line (or at `;`, or before the `}` of its block) before it says everything. To go on in the next line, "
    "break after an operator or a comma, or begin the next line with `|`, `+`, `->`, `then`, `else`, `and` or `or`.",
)
KEYWORD_AS_NAME = Code(
    "R106",
    "`{keyword}` is a keyword and cannot be a name",
    "Keywords cannot name parameters, nodes, definitions or files. Choose another name.",
)
NUMBER = Code(
    "R107",
    "`{number}` is not a number",
    "A number is digits, perhaps `.` and digits, perhaps one of the suffixes `k`, `M` and `G`; there are no exponents.",
)
STRING = Code(
    "R108",
    "this string is malformed",
    'A string stands in double quotes on one line. Inside it only `\\"` and `\\\\` are escapes.',
)
ENCODING = Code(
    "R109",
    "the file is not UTF-8 text (byte {offset}, line {line})",
    "Files are UTF-8. Save the file in that encoding.",
)
UNREADABLE = Code(
    "R110",
    "cannot read `{path}`: {reason}",
    "The file could not be opened. Check its name and that it may be read.",
)
BARE_IF = Code(
    "R111",
    "an `if` inside a chain or a sum stands in parentheses",
    "`if` reaches as far right as it can, so inside `|` and `+` its end must be marked: `a | (if C then X else Y)`.",
)
MISPLACED_CHOICE = Code(
    "R112",
    "`{kind}` does not stand here",
    "An open edge is the whole right side of an edge, or the whole body of an `op` that then is the whole right side of an edge. It never "
    "stands inside a chain, a sum, an `if`, another choice, or a stage of a net.",
)
MISPLACED_NONE = Code(
    "R113",
    "`none` does not stand here",
    "`none` is the absence of an edge: a whole branch of an `if` on an edge, or an alternative of `one`. It is never part of a chain or "
    "a sum, an alternative of `any` (choosing nothing says that), or a stage of a net.",
)
MISPLACED_STATEMENT = Code(
    "R114",
    "{what} does not stand in {where}",
    "A `net` or `space` of its own holds stages; a `net ... in` a space holds one `pick` for every pick of the space, and `meta`; a "
    "`space ... in` another holds `require` and `meta`.",
)
IMAGE_FORM = Code(
    "R115",
    "an image is written `input C x H x W`",
    "The three sizes of the image stand between the letters `x`, with spaces around them: `input 3 x 32 x 32`.",
)

# --- R2xx: names -------------------------------------------------------------------------------------------

DUPLICATE = Code(
    "R201",
    "`{name}` is defined twice",
    "A file sees one definition of each name, its own and those of the files it uses. Rename one of the two.",
)
PRIMITIVE_NAME = Code(
    "R202",
    "`{name}` is a primitive and cannot be defined",
    "The names of the primitive operations are taken in every file. Choose another name.",
)
UNKNOWN_OPERATION = Code(
    "R203",
    "unknown operation `{name}`",
    "No primitive, operation or cell of that name is known in this file (in a choice: the edge offers no such alternative). Names come from the "
    "file itself and from the files that it uses; a used file's own `use` is not passed on.",
)
UNKNOWN_FILE = Code(
    "R204",
    "cannot find `{path}`",
    "`use a.b` looks for `a/b.rob` beside the file, then in the installed `archs/`.",
)
UNKNOWN_SPACE = Code(
    "R205",
    "unknown space `{name}`",
    "The name after `in` must be a `space` of this file or of a file that it uses.",
)
UNKNOWN_NODE = Code(
    "R206",
    "unknown node `{name}`",
    "Inside a cell the inputs and nodes of that cell have names, and `V.channels` speaks of one of them (or of `in`).",
)
UNKNOWN_PARAMETER = Code(
    "R207",
    "`{callee}` has no parameter `{name}`",
    "An argument is given by the name of a parameter that the callee does not have.",
)
UNKNOWN_PICK = Code(
    "R208",
    "unknown pick `{name}`",
    "The name or number is no pick of this space (in a rule: nor a cell that it picks). Picks of `pick CELL(...)` stages are numbered from 0 in the order of the net.",
)
UNKNOWN_ATTRIBUTE = Code(
    "R209",
    "a value has no `{name}`",
    "A value has `channels`, `height`, `width` and `shape`; a flattened one has `channels` and `shape`.",
)
UNKNOWN_MEASURE = Code(
    "R210",
    "unknown measure `{name}`",
    "The measures of a pick are `density(c)`, `count(c, OP)`, `direct(c, OP)`, `skips(c, OP)` and `indegree(c.node)`; those of the whole net are `params`, `macs` and `depth`.",
)
CYCLIC_USE = Code(
    "R211",
    "`{path}` uses itself",
    "Files that use each other in a circle have no order in which they can be read. Move what both need into a third file.",
)
NAME_TAKEN = Code(
    "R212",
    "`{name}` already names {what}",
    "Inside one definition a name means one thing: a parameter, a node, a `let` or a pick.",
)
PICK_NAME = Code(
    "R213",
    "the pick `{name}` bears the name of a definition",
    "A pick stands where operations and cells are called, so its name must be its own.",
)
WHICH_NET = Code(
    "R214",
    "{problem}",
    "A file stands for its only net (or space), else for the one named like the file. Name one with `net=` or `--net`.",
)
UNKNOWN_JOIN = Code(
    "R215",
    "unknown join `{name}`",
    "Nodes are joined by `concat`, `sum` or `mul`.",
)
MEASURE_FORM = Code(
    "R217",
    "`{name}` is not written like that",
    "The measures of a pick are written `density(c)`, `count(c, OP)`, `direct(c, OP)`, `skips(c, OP)` and `indegree(c.node)`.",
)
CYCLIC_SPACE = Code(
    "R218",
    "the space `{name}` stands in itself",
    "Spaces that stand in one another in a circle have no stages. One of them must have stages of its own.",
)
NOT_AN_OPERATION = Code(
    "R216",
    "{what} is not an operation",
    "Operations are primitives, `op`s, cells and (in a space) picks. Spaces, nets and parameters cannot stand in a chain.",
)

# --- R3xx: values ------------------------------------------------------------------------------------------

MISSING_ARGUMENT = Code(
    "R301",
    "`{callee}` needs a value for `{name}`",
    "The parameter has no default, so every call must give it a value.",
)
TOO_MANY_ARGUMENTS = Code(
    "R302",
    "`{callee}` takes {most}",
    "More arguments are given by place than there are parameters.",
)
ARGUMENT_TWICE = Code(
    "R303",
    "`{name}` is given twice",
    "A parameter takes one value, by place or by name. Arguments by place come before those by name.",
)
WRONG_TYPE = Code(
    "R304",
    "{what} must be {wanted}, not {got}",
    "The value has the wrong type. Values are integers, numbers, `true`, `false` and words; a name that is no parameter, `let` or node is a word.",
)
OUT_OF_RANGE = Code(
    "R305",
    "{what} must be {wanted}, not {got}",
    "The value is outside the range in which the operation has a meaning.",
)
DIVISION_BY_ZERO = Code(
    "R306",
    "division by zero",
    "The right side of `//` or `%` is zero.",
)
REQUIRE_BROKEN = Code(
    "R307",
    "a requirement does not hold",
    "A `require` of a cell, net or space is false for the values shown.",
)
IN_OUTSIDE = Code(
    "R308",
    "`in` has no meaning here",
    "`in` is the value that enters a call or an `if`, in whose arguments, defaults or condition it is written. Elsewhere, name an input of the cell.",
)
MEASURE_OUTSIDE = Code(
    "R309",
    "`{name}` is known only in a `require` of a net or space",
    "Densities, counts and sizes of the whole net exist when its choices are made. Only a `require` (or a `let` that only a `require` uses) can speak of them.",
)
TOO_EARLY = Code(
    "R310",
    "`{name}` is not known here yet",
    "An expression can speak of the shape of an input, or of a node none of whose edges are written below, and of a `let` written above. Move the line, or use another value.",
)
CIRCULAR_VALUE = Code(
    "R311",
    "`{name}` depends on itself",
    "An expression speaks of the shape of a node whose own shape depends on that expression.",
)

ARGUMENT_ORDER = Code(
    "R312",
    "an argument by place stands after one by name",
    "Arguments by place come first: they fill the parameters in order.",
)

# --- R4xx: cells, nets and shapes ----------------------------------------------------------------------------

NO_INPUTS = Code(
    "R401",
    "the cell `{name}` has no `in` statement",
    "Every cell has one `in` statement that names its inputs.",
)
SECOND_INPUTS = Code(
    "R402",
    "the cell `{name}` has a second `in` statement",
    "Every cell has one `in` statement. Put all inputs into it.",
)
NO_OUT = Code(
    "R403",
    "the cell `{name}` has no `out`",
    "The result of a cell is its node `out`.",
)
CYCLE = Code(
    "R404",
    "the edges of `{name}` form a cycle: {path}",
    "A cell is a directed acyclic graph. Turn one of the edges round.",
)
INPUT_TAKES_EDGE = Code(
    "R405",
    "`{name}` is an input and takes no edge",
    "Inputs get their values from outside the cell.",
)
JOINED_NODE = Code(
    "R406",
    "`{name}` is joined and takes nothing else",
    "A node that is a `concat`, `sum` or `mul` of others is joined once and takes no edges.",
)
NO_EDGE = Code(
    "R407",
    "the node `{name}` takes no edge",
    "Every node but the inputs is the sum of at least one edge, or a join of others.",
)
MANY_INPUTS = Code(
    "R408",
    "`{name}` has {count} inputs and cannot stand {where}",
    "On an edge and inside a chain one value goes in. A cell with several inputs is a whole stage of a net by itself.",
)
SHAPES_DIFFER = Code(
    "R409",
    "{what} of different shapes: {first} and {second}",
    "What is summed must have equal shapes; what is concatenated, equal heights and widths; in `mul` a C x 1 x 1 map stretches.",
)
BAD_SHAPE = Code(
    "R410",
    "`{operation}` cannot take {shape}: {reason}",
    "The operation is not defined on a value of this shape.",
)
ALTERNATIVES_DIFFER = Code(
    "R411",
    "the alternatives of one edge give different shapes: {first} and {second}",
    "An open edge has one shape, whatever is chosen.",
)
NO_EDGE_LEFT = Code(
    "R412",
    "every edge into `{name}` is `none`",
    "A node whose closed edges all turn out to be `none`, and that has no open edge, has no value.",
)
NO_IMAGE = Code(
    "R413",
    "`{name}` does not say its input",
    "A net begins with one `input C x H x W`.",
)
SECOND_IMAGE = Code(
    "R414",
    "a net has one `input`, before its stages",
    "The image is declared once, as the first statement about stages.",
)
NO_STAGE = Code(
    "R415",
    "`{name}` has no stage",
    "A net is a sequence of at least one stage.",
)
OPEN_CELL = Code(
    "R416",
    "`{name}` has open edges and can be used only through a `pick`",
    "Open edges are closed by a pick: write `pick c : CELL` and `c(...)`, or `pick CELL(...)`, in a space.",
)
NOTHING_TO_PICK = Code(
    "R417",
    "`{name}` has no open edge to pick",
    "A pick closes the open edges of a cell, and this one has none. Call it without `pick`.",
)
PICK_OUTSIDE = Code(
    "R418",
    "a `pick` stands only in a space",
    "A net is closed. Put the stages into a `space` and write a `net ... in` it.",
)
STAGE_NAME = Code(
    "R419",
    "two stages are called `{name}`",
    "The names of stages differ, because they name weights.",
)
NEGATIVE_REPEAT = Code(
    "R420",
    "`repeat` of {count} turns",
    "The number of turns is 0 or more.",
)
OWN_PARAMETERS = Code(
    "R421",
    "a {kind} in a space has the parameters of that space, and no others",
    "Give values after `in SPACE(...)`; they become the defaults.",
)
OPEN_OPERATION = Code(
    "R422",
    "`{name}` is an open edge and cannot stand here",
    "An `op` whose body is `any` or `one` stands only as the whole right side of an edge, or as the whole body of another `op`.",
)

# --- R5xx: choices -------------------------------------------------------------------------------------------

GROUPS = Code(
    "R501",
    "`pick {pick}` has {wanted} of open edges, not {got}",
    "Alpha has one group for each node with open edges into it, in node order, separated by `|`.",
)
CODES = Code(
    "R502",
    "the group of `{node}` has {wanted}, not {got}",
    "A group has one code for each open edge into the node, in the order of the sources.",
)
BAD_CODE = Code(
    "R503",
    "`{code}` is no choice of {edge}",
    "An `any` edge is written as one bit per alternative; a `one` edge as the index of its alternative, from 0.",
)
MISSING_PICK = Code(
    "R504",
    "`{net}` does not choose `pick {name}`",
    "A net in a space holds one `pick` for every pick of the space.",
)
PICK_TWICE = Code(
    "R505",
    "`pick {name}` is chosen twice",
    "A net in a space holds one `pick` for every pick of the space.",
)
NO_SUCH_EDGE = Code(
    "R506",
    "the space has no open edge {edge}",
    "A choice closes the open edges of the picked cell, and there is none between these nodes.",
)
CHOSEN_TWICE = Code(
    "R507",
    "`{name}` is chosen twice on {edge}",
    "Each alternative of an open edge is chosen once or not at all.",
)
ONE_EDGE = Code(
    "R508",
    "the edge {edge} takes one alternative, not {got}",
    "A `one` edge takes exactly one alternative. One that offers `none` may go unmentioned, and then is empty.",
)
RULE_BROKEN = Code(
    "R509",
    "`{net}` breaks a rule of `{space}`",
    "The choices of the net do not satisfy a `require` of its space.",
)
PICK_PLUS = Code(
    "R510",
    "a choice lists alternatives, joined by `+`",
    "In the long form an edge is followed by the names of the alternatives chosen; `if`, `any` and `one` have no place there.",
)

# --- R6xx: bounds --------------------------------------------------------------------------------------------

FILE_SIZE = Code(
    "R601",
    "the file is larger than the bound of {bound}",
    "Files are bounded so that a malformed one does no harm.",
)
NESTING = Code(
    "R602",
    "this nests deeper than the bound of {bound}",
    "The nesting of brackets, operations and expressions is bounded.",
)
STATEMENT_SIZE = Code(
    "R603",
    "this statement is longer than the bound of {bound}",
    "The length of one statement is bounded.",
)
CALL_DEPTH = Code(
    "R604",
    "calls go deeper than the bound of {bound}",
    "An operation or cell that calls itself must come to an end. The trace shows who calls whom.",
)
TOO_MANY_STAGES = Code(
    "R605",
    "the net is longer than the bound of {bound}",
    "The turns of `repeat` add up; how many stages they make, and how many statements they run through, is bounded.",
)
TOO_MANY_OPERATIONS = Code(
    "R606",
    "elaboration makes more operations than the bound of {bound}",
    "The work of elaborating one net is bounded.",
)
LARGE_NUMBER = Code(
    "R607",
    "this value is larger than the bound of {bound}",
    "Integers and sizes are bounded.",
)
TOO_LARGE = Code(
    "R608",
    "the net has more {what} than the bound of {bound}",
    "The size of a net is bounded, so that a file cannot take all memory.",
)
TOO_MANY_FILES = Code(
    "R609",
    "more files are used than the bound of {bound}",
    "The number of files that one file uses, directly and indirectly, is bounded.",
)
TOO_MANY_EDGES = Code(
    "R610",
    "the cell `{name}` has more edges than the bound of {bound}",
    "An edge statement stands for every source and every target; their number is bounded.",
)

TOO_MANY_ALTERNATIVES = Code(
    "R611",
    "this edge offers more alternatives than the bound of {bound}",
    "The number of alternatives of one open edge is bounded.",
)

TOO_MANY_CASES = Code(
    "R612",
    "this rule means more cases than the bound of {bound}",
    "A cell's name in a rule means each of its picks in turn, and several cells mean every combination of theirs. Name the picks, or "
    "write a rule for each cell.",
)

# --- warnings ------------------------------------------------------------------------------------------------

DEAD_NODE = Code(
    "W401",
    "`out` cannot be reached from `{name}`",
    "What is computed for this node is never used. Connect it, or remove it.",
    severity="warning",
)
MAP_RESULT = Code(
    "W402",
    "`{name}` gives a map of {shape}, not logits",
    "Training, attacks and evaluation take a number for each class, so what a net gives them is flat. A net that is made for something else "
    "can give a map.",
    severity="warning",
)
WORD_LIKE_NAME = Code(
    "W301",
    "`{name}` is a word here, which equals nothing but itself",
    "A name that is no parameter, `let` or node is a word. This one is nearly a name that is known here; if that was meant, the word is a slip.",
    severity="warning",
)
FILE_TWICE = Code(
    "W201",
    "`{path}` is used twice",
    "One `use` is enough.",
    severity="warning",
)

ALL: tuple[Code, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Code))
