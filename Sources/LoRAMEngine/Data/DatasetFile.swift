import Glibc

/// A mapped dataset file, cut into records or documents by their byte ranges alone: 16 bytes of memory a record.
package struct DatasetFile: Sendable {
    package struct Range: Sendable, Equatable {
        var start: Int
        var count: Int
    }

    package enum Layout: Sendable, Equatable {
        /// One JSON value a line.
        case jsonLines
        /// One JSON array.
        case jsonArray
        case plainText
    }

    package let path: String
    package let layout: Layout
    package let ranges: [Range]
    private let file: MappedFile
    private let pages: MappedPages

    /// Separates the documents of a plain text file.
    package static let documentSeparator = Array("<|endoftext|>".utf8)

    /// - Parameter format: nil to go by the file's name and contents.
    /// - Throws: `DatasetError`
    package init(path: String, format: DatasetFormat?) throws {
        let file = try DatasetText.map(path)
        guard file.count > 0 else { throw DatasetError.empty(path: path, expected: "records or text") }
        file.advise(.sequential)
        self.path = path
        self.file = file
        let pages = MappedPages(file)
        self.pages = pages
        let bytes = file.bytes.assumingMemoryBound(to: UInt8.self)
        if Self.isCompressed(bytes, path: path) { throw DatasetError.compressed(path: path) }
        layout = Self.layout(bytes, path: path, format: format)
        switch layout {
        case .jsonLines: ranges = Self.lines(bytes, pages)
        case .jsonArray: ranges = try Self.arrayElements(file.bytes, pages, path: path)
        case .plainText: ranges = try Self.documents(bytes, path: path)
        }
        guard !ranges.isEmpty else {
            throw DatasetError.empty(path: path, expected: layout == .plainText ? "text" : "at least one record")
        }
        file.advise(.normal)
        if file.count > MappedPages.byteCount { file.advise(.dontNeed) }
    }

    package var recordCount: Int { ranges.count }

    /// The bytes of a record; valid while the file is referenced.
    package func bytes(of record: Int) -> UnsafeBufferPointer<UInt8> {
        let range = ranges[record]
        pages.read(range.count)
        let all = file.bytes.assumingMemoryBound(to: UInt8.self)
        return UnsafeBufferPointer(rebasing: all[range.start..<range.start + range.count])
    }

    /// Line on which a record starts, from 1. Counts line breaks from the file's start: for messages only.
    package func line(of record: Int, offset: Int = 0) -> Int {
        Self.line(file.bytes.assumingMemoryBound(to: UInt8.self), ranges[record].start + offset)
    }

    /// Parses a record of a JSON dataset.
    ///
    /// - Throws: `DatasetError.invalidJSON`, `wrongType` if it is no object.
    package func object(_ record: Int) throws(DatasetError) -> JSONValue {
        let value: JSONValue
        do {
            value = try JSONValue.parse(UnsafeRawBufferPointer(bytes(of: record)))
        } catch {
            let offset = (error as? JSONError)?.offset ?? 0
            throw .invalidJSON(path: path, line: line(of: record, offset: offset), reason: "\(error)")
        }
        guard case .object = value else {
            throw .wrongType(path: path, line: line(of: record), key: "", expected: "an object", found: value.kindDescription)
        }
        return value
    }

    // MARK: - Indexing

    private static func layout(_ bytes: UnsafeBufferPointer<UInt8>, path: String, format: DatasetFormat?) -> Layout {
        let name = DatasetText.name(path)
        if format == .plain { return .plainText }
        let first = bytes.dropFirst(byteOrderMarkCount(bytes)).first { !isWhitespace($0) }
        let isJSONName = [".json", ".jsonl", ".ndjson"].contains { name.hasSuffix($0) }
        let startsAsJSON = first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
        if format == nil, name.hasSuffix(".txt") || !(isJSONName || startsAsJSON) { return .plainText }
        return first == UInt8(ascii: "[") ? .jsonArray : .jsonLines
    }

    /// By something else than gzip and zstd, which were undone before.
    private static func isCompressed(_ bytes: UnsafeBufferPointer<UInt8>, path: String) -> Bool {
        bytes.starts(with: Array("BZh".utf8)) && path.hasSuffix(".bz2") || bytes.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a])
    }

    /// Lines that are not blank.
    private static func lines(_ bytes: UnsafeBufferPointer<UInt8>, _ pages: MappedPages) -> [Range] {
        var ranges: [Range] = []
        var start = byteOrderMarkCount(bytes)
        while start < bytes.count {
            let end = firstIndex(of: UInt8(ascii: "\n"), in: bytes, from: start) ?? bytes.count
            if bytes[start..<end].contains(where: { !isWhitespace($0) }) {
                ranges.append(Range(start: start, count: end - start))
            }
            pages.pass(end + 1 - start)
            start = end + 1
        }
        return ranges
    }

    private static func arrayElements(_ bytes: UnsafeRawBufferPointer, _ pages: MappedPages, path: String) throws -> [Range] {
        var ranges: [Range] = []
        do {
            try JSONScanner.elementRanges(of: bytes) {
                ranges.append(Range(start: $0.lowerBound, count: $0.count))
                pages.pass($0.count)
            }
        } catch let error as JSONError {
            let line = line(bytes.assumingMemoryBound(to: UInt8.self), error.offset)
            throw DatasetError.invalidJSON(path: path, line: line, reason: "\(error)")
        }
        return ranges
    }

    /// The texts between separators, without the line breaks that set a separator off. A file without separators is one
    /// document, exactly as it is.
    private static func documents(_ bytes: UnsafeBufferPointer<UInt8>, path: String) throws(DatasetError) -> [Range] {
        let valid = JSONParser.validUTF8PrefixLength(bytes)
        guard valid == bytes.count else { throw .invalidUTF8(path: path, line: line(bytes, valid)) }
        let first = byteOrderMarkCount(bytes)
        var ranges: [Range] = []
        var start = first
        while true {
            let separator = firstOccurrence(of: documentSeparator, in: bytes, from: start)
            var end = separator ?? bytes.count
            if start > first { while start < end, isLineBreak(bytes[start]) { start += 1 } }
            if separator != nil || start > first { while end > start, isLineBreak(bytes[end - 1]) { end -= 1 } }
            if end > start { ranges.append(Range(start: start, count: end - start)) }
            guard let separator else { return ranges }
            start = separator + documentSeparator.count
        }
    }

    // MARK: - Bytes

    private static func isWhitespace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
    private static func isLineBreak(_ byte: UInt8) -> Bool { byte == 0x0a || byte == 0x0d }

    private static func byteOrderMarkCount(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        bytes.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
    }

    private static func line(_ bytes: UnsafeBufferPointer<UInt8>, _ offset: Int) -> Int {
        1 + bytes.prefix(max(offset, 0)).count { $0 == 0x0a }
    }
}
