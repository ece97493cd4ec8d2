/// Suggestions for a mistyped name.
public enum NearestName {
    /// The candidate with the smallest edit distance (the first of equals); nil without candidates.
    public static func find(_ name: String, among candidates: some Sequence<String>) -> String? {
        best(name, among: candidates)?.name
    }

    /// Like `find`, but nil when even the nearest is not similar: more than a third of its letters (at least 2) would have to change.
    public static func findSimilar(_ name: String, among candidates: some Sequence<String>) -> String? {
        guard let (candidate, distance) = best(name, among: candidates) else { return nil }
        return distance <= max(2, max(name.utf8.count, candidate.utf8.count) / 3) ? candidate : nil
    }

    /// Insertions, deletions, substitutions and swaps of neighbours that turn `first` into `second` (optimal string alignment).
    public static func editDistance(_ first: String, _ second: String) -> Int {
        // A hostile key may be megabytes long; beyond this length it is no typing mistake.
        let a = Array(first.utf8.prefix(256))
        let b = Array(second.utf8.prefix(256))
        if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
        var beforePrevious = [Int](repeating: 0, count: b.count + 1)
        var previous = Array(0...b.count)
        var current = previous
        for i in 1...a.count {
            current[0] = i
            for j in 1...b.count {
                let substitution = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
                var cost = min(previous[j] + 1, current[j - 1] + 1, substitution)
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                    cost = min(cost, beforePrevious[j - 2] + 1)
                }
                current[j] = cost
            }
            (beforePrevious, previous, current) = (previous, current, beforePrevious)
        }
        return previous[b.count]
    }

    private static func best(_ name: String, among candidates: some Sequence<String>) -> (name: String, distance: Int)? {
        var best: (name: String, distance: Int)?
        for candidate in candidates {
            let distance = editDistance(name, candidate)
            if best == nil || distance < best!.distance { best = (candidate, distance) }
        }
        return best
    }
}
