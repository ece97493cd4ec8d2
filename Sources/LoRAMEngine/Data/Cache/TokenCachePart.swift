/// Consecutive items of a dataset as tokens, in one file that is mapped.
///
/// Layout, little-endian: 64 bytes of header (magic, item count, token count), the ids (4 bytes each), a bit for each id that is
/// learnt, padded to 8 bytes, and where each item starts, with the end of the last (8 bytes each).
struct TokenCachePart: Sendable {
    private static let magic = Array("LoRAMtk1".utf8)
    private static let headerBytes = 64

    let itemCount: Int
    private let tokenCount: Int
    private let file: MappedFile
    private let pages: MappedPages

    /// - Throws: `DatasetError.unreadable` for what is no such file.
    init(path: String) throws {
        let file = try MappedFile(path: path), count = file.count
        func number(_ offset: Int) -> Int { Int(clamping: file.bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
        func damaged() -> DatasetError { .unreadable(path: path, reason: "expected a part of a token cache, found something else; remove its directory") }
        guard count >= Self.headerBytes, file.bytes.starts(with: Self.magic) else { throw damaged() }
        let itemCount = number(8), tokenCount = number(16)
        guard itemCount < 1 << 40, tokenCount < 1 << 48,
            count == Self.startsOffset(tokenCount) + 8 * (itemCount + 1)
        else { throw damaged() }
        var last = 0
        for item in 0...itemCount {
            let start = number(Self.startsOffset(tokenCount) + 8 * item)
            guard start >= last, start <= tokenCount, item > 0 || start == 0 else { throw damaged() }
            last = start
        }
        guard last == tokenCount else { throw damaged() }
        file.advise(.random)
        self.file = file
        pages = MappedPages(file)
        self.itemCount = itemCount
        self.tokenCount = tokenCount
    }

    private static func maskOffset(_ tokenCount: Int) -> Int { headerBytes + 4 * tokenCount }
    private static func startsOffset(_ tokenCount: Int) -> Int { (maskOffset(tokenCount) + (tokenCount + 7) / 8 + 7) / 8 * 8 }

    /// Where an item starts among the part's tokens; of `itemCount`: the end.
    func start(_ item: Int) -> Int {
        Int(file.bytes.loadUnaligned(fromByteOffset: Self.startsOffset(tokenCount) + 8 * item, as: UInt64.self))
    }

    /// Appends tokens of an item; the range is clamped to what it has.
    func append(_ item: Int, _ range: Range<Int>, to sequence: inout TokenSequence) {
        let start = start(item), count = self.start(item + 1) - start
        let range = range.clamped(to: 0..<count)
        pages.read(4 * range.count)
        for position in start + range.lowerBound..<start + range.upperBound {
            let id = file.bytes.loadUnaligned(fromByteOffset: Self.headerBytes + 4 * position, as: Int32.self)
            sequence.ids.append(id)
            sequence.labels.append(isLearnt(position) ? id : MicroBatch.ignoredLabel)
        }
    }

    /// Position of an item's first learnt token; nil if it has none.
    func firstTarget(_ item: Int) -> Int? {
        let start = start(item)
        return (start..<self.start(item + 1)).first(where: isLearnt).map { $0 - start }
    }

    private func isLearnt(_ position: Int) -> Bool {
        file.bytes[Self.maskOffset(tokenCount) + position / 8] >> UInt8(position % 8) & 1 == 1
    }

    /// Writes the items `range` of a source. Ids go to the file as they come; a bit a token and eight bytes an item are held.
    static func write(_ source: any ItemSource, items range: Range<Int>, to path: String) throws {
        let output = try OutputFile(path: path)
        try output.write([UInt8](repeating: 0, count: headerBytes))
        var mask: [UInt8] = []
        var starts: [UInt64] = [0]
        var tokenCount = 0
        for item in range {
            try source.forEachPart(of: item) { sequence in
                try sequence.ids.withUnsafeBytes { try output.write($0) }
                for (id, label) in zip(sequence.ids, sequence.labels) {
                    if tokenCount % 8 == 0 { mask.append(0) }
                    if label == id { mask[tokenCount / 8] |= 1 << UInt8(tokenCount % 8) }
                    tokenCount += 1
                }
            }
            starts.append(UInt64(tokenCount))
        }
        try output.write(mask + [UInt8](repeating: 0, count: startsOffset(tokenCount) - maskOffset(tokenCount) - mask.count))
        try starts.withUnsafeBytes { try output.write($0) }
        var header = magic
        for value in [UInt64(range.count), UInt64(tokenCount)] { withUnsafeBytes(of: value.littleEndian) { header += $0 } }
        try output.overwrite(header, at: 0)
        try output.finish()
    }
}
