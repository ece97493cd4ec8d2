/// `input_ids` records: used as they are, nothing added and nothing cut.
struct TokenItems: ItemSource {
    private let file: DatasetFile
    /// Tokens a record may have.
    private let length: Int
    private let vocabularySize: Int

    init(file: DatasetFile, length: Int, vocabularySize: Int) {
        self.file = file
        self.length = length
        self.vocabularySize = vocabularySize
    }

    var itemCount: Int { file.recordCount }
    var path: String { file.path }

    func load(_ item: Int, range: Range<Int>, into sequence: inout TokenSequence) throws {
        sequence.removeAll()
        try read(item, into: &sequence)
        sequence.keep(range)
    }

    func summary(of item: Int, limit: Int) throws -> ItemSummary {
        try measure(item)
    }

    func measure(_ item: Int) throws -> ItemSummary {
        var sequence = TokenSequence()
        try read(item, into: &sequence)
        let firstTarget = sequence.labels.dropFirst().firstIndex { $0 != MicroBatch.ignoredLabel }
        guard let firstTarget else { throw DatasetError.noLabels(path: path, line: file.line(of: item)) }
        return ItemSummary(count: sequence.count, exceedsLimit: false, firstTarget: firstTarget)
    }

    private func read(_ item: Int, into sequence: inout TokenSequence) throws(DatasetError) {
        let record = try RecordReader(file: file, record: item, format: .inputIDs)
        let ids = try record.array("input_ids")
        guard ids.count <= length else {
            throw .longerThanWindow(path: path, line: record.line, count: ids.count, length: length)
        }
        try append(ids, "input_ids", record, to: &sequence.ids)
        if let labels = try record.optionalArray("labels") {
            guard labels.count == ids.count else {
                throw .labelCount(path: path, line: record.line, expected: ids.count, found: labels.count)
            }
            try append(labels, "labels", record, to: &sequence.labels)
        } else {
            sequence.labels.append(contentsOf: sequence.ids)
        }
        try checkMask(record)
    }

    private func append(_ values: [JSONValue], _ key: String, _ record: RecordReader, to ids: inout [Int32]) throws(DatasetError) {
        ids.reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            guard let id = value.intValue else { throw record.wrongType(key, "integers", value) }
            let isIgnored = key == "labels" && id == Int(MicroBatch.ignoredLabel)
            guard isIgnored || (0..<vocabularySize).contains(id) else {
                throw .tokenOutOfRange(
                    path: path, line: record.line, key: key, index: index, token: id, vocabularySize: vocabularySize)
            }
            ids.append(Int32(id))
        }
    }

    /// Tokenized files often carry an `attention_mask`. All ones say nothing; padding would silently be trained on.
    private func checkMask(_ record: RecordReader) throws(DatasetError) {
        guard let mask = try record.optionalArray("attention_mask") else { return }
        guard mask.allSatisfy({ $0.intValue == 1 }) else {
            throw .wrongType(
                path: path, line: record.line, key: "attention_mask", expected: "ones only", found: "padding; remove the padded tokens")
        }
    }
}
