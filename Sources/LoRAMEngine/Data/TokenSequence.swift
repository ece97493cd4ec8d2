/// Tokens of one record, or of a part of it.
struct TokenSequence: Sendable, Equatable {
    var ids: [Int32] = []
    /// As many as `ids`, not shifted: `labels[t]` is what is to be predicted AT position t, from the one before; `ids[t]` itself or
    /// `MicroBatch.ignoredLabel`.
    var labels: [Int32] = []

    var count: Int { ids.count }

    mutating func removeAll() {
        ids.removeAll(keepingCapacity: true)
        labels.removeAll(keepingCapacity: true)
    }

    /// Drops all tokens outside `range`, which may reach beyond the end.
    mutating func keep(_ range: Range<Int>) {
        let end = min(range.upperBound, count)
        ids.removeSubrange(end...)
        labels.removeSubrange(end...)
        let start = min(range.lowerBound, count)
        ids.removeSubrange(..<start)
        labels.removeSubrange(..<start)
    }
}

/// What goes around the tokens of a text.
struct SequenceFrame: Sendable, Equatable {
    /// The vocabulary's, nil where it has none, or where none is wanted.
    var bos: Int32?
    var eos: Int32?
    /// Whether a record starts with BOS. Where not, one that the text itself starts with is taken off, since whoever cuts
    /// windows places BOS.
    var addsBOS: Bool
    var addsEOS: Bool

    /// Tokens that framing adds at most.
    var maximumCount: Int { (addsBOS && bos != nil ? 1 : 0) + (addsEOS && eos != nil ? 1 : 0) }
    /// Any record has at least two tokens, and so something to predict.
    var alwaysHasTarget: Bool { addsBOS && addsEOS && bos != nil && eos != nil && bos != eos }
}
