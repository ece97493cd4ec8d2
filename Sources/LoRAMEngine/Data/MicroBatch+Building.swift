extension MicroBatch {
    static var empty: MicroBatch { MicroBatch(tokenIDs: [], labels: [], segments: [], samples: []) }

    mutating func removeAll() {
        tokenIDs.removeAll(keepingCapacity: true)
        labels.removeAll(keepingCapacity: true)
        segments.removeAll(keepingCapacity: true)
        samples.removeAll(keepingCapacity: true)
    }

    /// Opens a sample; segments appended from here on belong to it.
    mutating func beginSample(id: UInt64) {
        samples.append(Sample(start: tokenCount, count: 0, sampleID: id))
    }

    /// Appends one document of the open sample, with labels shifted to the position they are predicted from.
    ///
    /// - Parameter prefix: a token that goes in front and is not itself predicted (BOS of a scoring window).
    mutating func appendSegment(_ sequence: TokenSequence, prefix: Int32? = nil) {
        let start = tokenCount
        if let prefix {
            tokenIDs.append(prefix)
            if let first = sequence.labels.first { labels.append(first) }
        }
        tokenIDs.append(contentsOf: sequence.ids)
        labels.append(contentsOf: sequence.labels.dropFirst())
        // The last token's successor is not in the segment.
        labels.append(contentsOf: repeatElement(Self.ignoredLabel, count: tokenCount - labels.count))
        guard tokenCount > start else { return }
        segments.append(Segment(start: start, count: tokenCount - start))
        samples[samples.count - 1].count += tokenCount - start
    }
}
