/// Datasets as tokens, kept in a directory from one run to the next.
///
/// An entry belongs to what makes its tokens: the file's content, the tokenizer, the template, which tokens are learnt, and what
/// frames a text. It is a directory of parts, one for each rank that built it, and a manifest that is written last. Runs at the same
/// time may build the same entry: every file appears whole, with the same items behind it.
public struct TokenCache: Sendable, Equatable {
    public let directory: String

    public init(directory: String) { self.directory = directory }

    /// Changes when the tokens of unchanged data may.
    private static let version = 1

    struct Identity: Sendable, Equatable {
        var content: String
        var tokenizer: String
        var format: DatasetFormat
        var template: PromptTemplate
        var answersOnly: Bool
        var frame: SequenceFrame

        var key: String {
            func id(_ value: Int32?) -> JSONValue { value.map { .integer(Int($0)) } ?? .null }
            let members: JSONValue = [
                "version": .integer(TokenCache.version), "content": .string(content), "tokenizer": .string(tokenizer), "format": .string(format.rawValue),
                "template": .string(template.rawValue), "answers_only": .bool(answersOnly), "bos": id(frame.bos), "eos": id(frame.eos),
                "adds_bos": .bool(frame.addsBOS), "adds_eos": .bool(frame.addsEOS),
            ]
            return String(ContentHash.sha256(members.serialized()).prefix(32))
        }
    }

    func path(_ identity: Identity) -> String { "\(directory)/\(identity.key)" }

    static func partPath(_ entry: String, _ part: Int, of count: Int) -> String { "\(entry)/part-\(part)-of-\(count).tokens" }

    private static func manifestPath(_ entry: String) -> String { "\(entry)/manifest.json" }

    /// The parts of a complete entry; nil if there is none.
    func parts(_ identity: Identity) -> [String]? {
        let entry = path(identity)
        guard let manifest = try? JSONValue.parse(contentsOf: Self.manifestPath(entry)), let count = manifest["parts"]?.intValue,
            (1...(1 << 20)).contains(count)
        else { return nil }
        let paths = (0..<count).map { Self.partPath(entry, $0, of: count) }
        return paths.allSatisfy { FilePath.isRegularFile($0) } ? paths : nil
    }

    /// Says that all parts are there.
    func commit(_ identity: Identity, partCount: Int) throws {
        let manifest: JSONValue = ["parts": .integer(partCount)]
        try FileSystem.write(manifest.serialized() + "\n", to: Self.manifestPath(path(identity)))
    }
}
