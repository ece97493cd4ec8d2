/// Tokens of one record, or of a part of it.
package struct TokenSequence: Sendable, Equatable {
    package var ids: [Int32] = []
    /// As many as `ids`, not shifted: `labels[t]` is what is to be predicted AT position t, from the one before; `ids[t]` itself or
    /// `MicroBatch.ignoredLabel`.
    package var labels: [Int32] = []

    package init() {}

    package var count: Int { ids.count }

    package mutating func removeAll() {
        ids.removeAll(keepingCapacity: true)
        labels.removeAll(keepingCapacity: true)
    }

    /// Drops all tokens outside `range`, which may reach beyond the end.
    package mutating func keep(_ range: Range<Int>) {
        let end = min(range.upperBound, count)
        ids.removeSubrange(end...)
        labels.removeSubrange(end...)
        let start = min(range.lowerBound, count)
        ids.removeSubrange(..<start)
        labels.removeSubrange(..<start)
    }
}

/// What goes around the tokens of a text.
package struct SequenceFrame: Sendable, Equatable {
    /// The vocabulary's, nil where it has none, or where none is wanted.
    package var bos: Int32?
    package var eos: Int32?
    /// Whether a record starts with BOS. Where not, one that the text itself starts with is taken off, since whoever cuts
    /// windows places BOS.
    package var addsBOS: Bool
    package var addsEOS: Bool

    package init(bos: Int32?, eos: Int32?, addsBOS: Bool, addsEOS: Bool) {
        self.bos = bos
        self.eos = eos
        self.addsBOS = addsBOS
        self.addsEOS = addsEOS
    }

    /// Tokens that framing adds at most.
    package var maximumCount: Int { (addsBOS && bos != nil ? 1 : 0) + (addsEOS && eos != nil ? 1 : 0) }
    /// Any record has at least two tokens, and so something to predict.
    package var alwaysHasTarget: Bool { addsBOS && addsEOS && bos != nil && eos != nil && bos != eos }
}
