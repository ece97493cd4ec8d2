import Foundation

/// Llama 3's tokenizer.model: a line of `base64 rank` for each token, in the order of ranks, which are the ids.
///
/// The file says neither how text is split nor what the special tokens are: these are Llama 3's, 256 of which follow the last rank.
enum TiktokenFile {
    /// Whether a file starts with such a line. A SentencePiece model starts with byte 0x0A instead.
    static func isVocabulary(_ bytes: [UInt8]) -> Bool {
        let line = bytes.prefix(4096).prefix { $0 != UInt8(ascii: "\n") }
        let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return false }
        let isDigit: (UInt8) -> Bool = { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        let isBase64: (UInt8) -> Bool = {
            isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) || $0 == UInt8(ascii: "+")
                || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "=")
        }
        return parts[0].allSatisfy(isBase64) && parts[1].allSatisfy { isDigit($0) || $0 == UInt8(ascii: "\r") }
    }

    /// - Throws: `TokenizerError.malformed`, `inconsistent`
    static func definition(_ bytes: [UInt8], path: String) throws -> BPEDefinition {
        var definition = BPEDefinition()
        var longest = 0
        var offset = 0
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            defer { offset += line.count + 1 }
            if line.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }) { continue }
            let parts = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }
            guard parts.count == 2, let token = Data(base64Encoded: Data(parts[0])), !token.isEmpty, token.count <= 1 << 16 else {
                throw TokenizerError.malformed(path: path, offset: offset, expected: "a token in base64 and its rank", found: "another line")
            }
            let rank = definition.tokens.count
            guard Int(String(decoding: parts[1], as: UTF8.self)) == rank, rank < PairTable.maximumCount else {
                throw TokenizerError.malformed(
                    path: path, offset: offset, expected: "rank \(rank)", found: String(decoding: parts[1].prefix(20), as: UTF8.self).debugDescription)
            }
            definition.tokens.append(.init(id: Int32(rank), bytes: Array(token)))
            longest = max(longest, token.count)
        }
        guard Set(definition.tokens.map(\.bytes)).count == definition.tokens.count else {
            throw TokenizerError.inconsistent(path: path, expected: "every token once", found: "a token with two ranks")
        }
        definition.merges = merges(definition.tokens)
        definition.looksUpWords = true
        definition.splits = [.pattern(.llama3, .isolated, isInverted: false)]
        let first = Int32(definition.tokens.count)
        definition.added = specialNames.enumerated().map { .init(id: first + Int32($0), content: Array($1.utf8), isSpecial: true) }
        definition.bosTokenID = first
        definition.eosTokenID = first + 1
        return definition
    }

    /// Two tokens that together are a third merge at its rank.
    private static func merges(_ tokens: [BPEDefinition.Token]) -> [PairTable.Merge] {
        let words = PieceTable(tokens.map { (key: $0.bytes[...], value: $0.id) })
        var merges: [PairTable.Merge] = []
        for token in tokens {
            token.bytes.withUnsafeBufferPointer { bytes in
                for cut in 1..<max(bytes.count, 1) {
                    let left = words.lookup(bytes.baseAddress!, cut)
                    guard left >= 0 else { continue }
                    let right = words.lookup(bytes.baseAddress! + cut, bytes.count - cut)
                    if right >= 0 { merges.append(.init(left: left, right: right, rank: token.id, result: token.id)) }
                }
            }
        }
        return merges
    }

    /// In the order of ids. The names that Llama 3.1 gave to reserved ones are in their places.
    private static let specialNames: [String] = {
        func reserved(_ number: Int) -> String { "<|reserved_special_token_\(number)|>" }
        return [
            "<|begin_of_text|>", "<|end_of_text|>", reserved(0), reserved(1), "<|finetune_right_pad_id|>", reserved(2), "<|start_header_id|>",
            "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
        ] + (3...247).map(reserved)
    }()
}
