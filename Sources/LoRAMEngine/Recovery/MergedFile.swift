/// A file of the merged model that is computed as it is read: tensors of the base, and merged ones in their places.
final class MergedFile: TensorFile {
    enum Source: Sendable {
        case copied(any TensorFile, entry: Int)
        case merged(MergedTensor)
    }

    let name: String
    let path: String
    let header: SafetensorsHeader
    let headerBytes: [UInt8]
    private let sources: [Source]

    /// - Throws: `SafetensorsError`.
    init(name: String, path: String, tensors: [(info: TensorInfo, source: Source)], metadata: [(key: String, value: String)]) throws {
        self.name = name
        self.path = path
        headerBytes = try SafetensorsWriter.header(path: path, tensors: tensors.map(\.info), metadata: metadata)
        let total = tensors.reduce(headerBytes.count) { $0 + $1.info.byteCount }
        header = try headerBytes.withUnsafeBytes { try SafetensorsHeader(prefix: $0, fileByteCount: total, path: path) }
        // Empty tensors may change their places.
        let byName = Dictionary(tensors.map { ($0.info.name, $0.source) }) { first, _ in first }
        sources = header.entries.map { byName[$0.info.name]! }
    }

    func read(_ entry: Int, _ bytes: Range<Int>, into destination: UnsafeMutableRawPointer) throws {
        switch sources[entry] {
        case .copied(let file, let other): try file.read(other, bytes, into: destination)
        case .merged(let tensor):
            precondition(bytes.lowerBound % 2 == 0 && bytes.count % 2 == 0, "half an element of a merged tensor")
            let count = bytes.count / 2
            try destination.withMemoryRebound(to: UInt16.self, capacity: count) {
                try tensor.copy(bytes.lowerBound / 2..<bytes.upperBound / 2, into: $0)
            }
        }
    }

    func release(_ entry: Int, _ bytes: Range<Int>) {
        switch sources[entry] {
        case .copied(let file, let other): file.release(other, bytes)
        case .merged(let tensor): tensor.release(bytes.lowerBound / 2..<bytes.upperBound / 2)
        }
    }
}
