/// A regular expression of the kind by which tokenizers cut text into words.
///
/// Understood are alternatives, groups (also `(?i:...)`), optional groups, sets of characters (`[...]`, `\s`, `\d`, `\p{..}`, `.`,
/// and their opposites) with `?`, `*`, `+`, `{n,m}`, greedy or possessive, and lookahead for one set. That is all that the
/// tokenizers in use need; anything else is refused when the pattern is read. The match is the one that a backtracking engine
/// (Oniguruma, PCRE) finds: the first alternative that leads to the end, greedy parts as long as possible.
final class SplitPattern: @unchecked Sendable {
    indirect enum Expression {
        case set(ScalarSet, minimum: Int, maximum: Int, isPossessive: Bool)
        case sequence([Expression])
        case alternatives([Expression])
        case lookahead(ScalarSet, isNegative: Bool)
    }

    struct Node {
        enum Kind { case set, branch, lookahead, end }
        var kind: Kind
        /// Index of the set; of a branch: where its targets start.
        var index: Int32 = 0
        var minimum: Int32 = 0
        /// Of a branch: how many targets it has.
        var maximum: Int32 = 0
        var isPossessive = false
        var isNegative = false
        var next: Int32 = 0
    }

    // All memory is written in init alone, hence `@unchecked Sendable`.
    let nodes: UnsafeMutablePointer<Node>
    let sets: UnsafeMutablePointer<ScalarSet>
    let targets: UnsafeMutablePointer<Int32>
    /// [256] by first byte: which targets of the first branch can start with it. nil if the pattern does not start with a branch
    /// of at most 32.
    let startMasks: UnsafeMutablePointer<UInt32>?
    let start: Int32
    private let setCount: Int
    /// A match never spans an ASCII letter and a space behind it, nor depends on what follows the letter: texts can be cut there.
    let endsAtSpaces: Bool

    init(_ expression: Expression) {
        var builder = Builder()
        let end = builder.add(Node(kind: .end))
        start = builder.build(expression, next: end)
        nodes = .allocate(capacity: builder.nodes.count)
        nodes.initialize(from: builder.nodes, count: builder.nodes.count)
        sets = .allocate(capacity: max(builder.sets.count, 1))
        sets.initialize(from: builder.sets, count: builder.sets.count)
        targets = .allocate(capacity: max(builder.targets.count, 1))
        targets.initialize(from: builder.targets, count: builder.targets.count)
        setCount = builder.sets.count
        startMasks = builder.startMasks(from: start).map {
            let masks = UnsafeMutablePointer<UInt32>.allocate(capacity: 256)
            masks.initialize(from: $0, count: 256)
            return masks
        }
        endsAtSpaces = !Edges(expression).crosses
    }

    deinit {
        nodes.deallocate()
        sets.deinitialize(count: setCount)
        sets.deallocate()
        targets.deallocate()
        startMasks?.deallocate()
    }

    private struct Builder {
        var nodes: [Node] = []
        var sets: [ScalarSet] = []
        var targets: [Int32] = []

        mutating func add(_ node: Node) -> Int32 {
            nodes.append(node)
            return Int32(nodes.count - 1)
        }

        mutating func index(of set: ScalarSet) -> Int32 {
            if let known = sets.firstIndex(of: set) { return Int32(known) }
            sets.append(set)
            return Int32(sets.count - 1)
        }

        /// The node at which `expression`, followed by `next`, starts.
        mutating func build(_ expression: Expression, next: Int32) -> Int32 {
            switch expression {
            case .set(let set, let minimum, let maximum, let isPossessive):
                return add(
                    Node(
                        kind: .set, index: index(of: set), minimum: Int32(minimum), maximum: Int32(clamping: maximum),
                        isPossessive: isPossessive, next: next))
            case .lookahead(let set, let isNegative):
                return add(Node(kind: .lookahead, index: index(of: set), isNegative: isNegative, next: next))
            case .sequence(let parts): return parts.reversed().reduce(next) { build($1, next: $0) }
            case .alternatives(let options):
                let built = options.map { build($0, next: next) }
                targets += built
                return add(Node(kind: .branch, index: Int32(targets.count - built.count), maximum: Int32(built.count)))
            }
        }

        /// Which targets of a branch at `node` can match at a byte.
        func startMasks(from node: Int32) -> [UInt32]? {
            let branch = nodes[Int(node)]
            guard branch.kind == .branch, branch.maximum <= 32 else { return nil }
            return (0..<256).map { byte in
                (0..<Int(branch.maximum)).reduce(UInt32(0)) { mask, option in
                    canStart(targets[Int(branch.index) + option], with: UInt32(byte)) ? mask | 1 << UInt32(option) : mask
                }
            }
        }

        private func canStart(_ node: Int32, with byte: UInt32) -> Bool {
            let node = nodes[Int(node)]
            switch node.kind {
            case .end, .lookahead: return true
            case .branch: return (0..<Int(node.maximum)).contains { canStart(targets[Int(node.index) + $0], with: byte) }
            case .set:
                if byte >= 0x80 || sets[Int(node.index)].containsASCII(byte) { return true }
                return node.minimum == 0 && canStart(node.next, with: byte)
            }
        }
    }

    /// What can stand at the ends of a match of an expression, to find out whether a letter can be followed by a space inside one.
    private struct Edges {
        var isNullable = true
        var startsWithSpace = false
        var endsWithLetter = false
        var crosses = false

        init() {}

        init(_ expression: Expression) {
            switch expression {
            case .set(let set, let minimum, let maximum, _):
                isNullable = minimum == 0
                startsWithSpace = set.containsASCII(0x20)
                endsWithLetter = set.containsASCIILetter
                crosses = maximum > 1 && startsWithSpace && endsWithLetter
            case .lookahead(let set, let isNegative):
                // At the end of a text a negative one holds; it must hold before a space too.
                crosses = !isNegative || set.containsASCII(0x20)
            case .sequence(let parts):
                self = parts.reduce(Edges()) { a, part in
                    let b = Edges(part)
                    var joined = Edges()
                    joined.isNullable = a.isNullable && b.isNullable
                    joined.startsWithSpace = a.startsWithSpace || (a.isNullable && b.startsWithSpace)
                    joined.endsWithLetter = b.endsWithLetter || (b.isNullable && a.endsWithLetter)
                    joined.crosses = a.crosses || b.crosses || (a.endsWithLetter && b.startsWithSpace)
                    return joined
                }
            case .alternatives(let options):
                let all = options.map(Edges.init)
                isNullable = all.contains(where: \.isNullable)
                startsWithSpace = all.contains(where: \.startsWithSpace)
                endsWithLetter = all.contains(where: \.endsWithLetter)
                crosses = all.contains(where: \.crosses)
            }
        }
    }
}
