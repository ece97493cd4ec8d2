/// The `tokenize` command: ids of the texts of a JSONL file, line by line.
public enum TokenizeRun {
    /// - Parameter output: gets one JSON object a line of the file.
    /// - Throws: `TokenizerError`; `DatasetError` naming file and line.
    public static func run(tokenizer path: String, file: String, addsBOS: Bool, output: (String) -> Void) throws {
        let tokenizer = try TokenizerLoader.load(path: path)
        let mapped = try MappedFile(path: file)
        for (index, line) in mapped.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let bytes = UnsafeRawBufferPointer(rebasing: line)
            if bytes.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\t") }) { continue }
            let record: JSONValue
            do {
                record = try JSONValue.parse(bytes)
            } catch let error as JSONError {
                throw DatasetError.invalidJSON(path: file, line: index + 1, reason: "\(error)")
            }
            guard let text = record["text"]?.stringValue else {
                throw DatasetError.missingKey(path: file, line: index + 1, key: "text", format: .text)
            }
            var ids = tokenizer.encode(text, special: true)
            if addsBOS, let bos = tokenizer.bosTokenID, ids.first != bos { ids.insert(bos, at: 0) }
            if addsBOS, tokenizer.appendsEOS, let eos = tokenizer.eosTokenID, ids.last != eos { ids.append(eos) }
            output(JSONValue.object([JSONMember("ids", .array(ids.map { .integer(Int($0)) }))]).serialized())
        }
    }
}
