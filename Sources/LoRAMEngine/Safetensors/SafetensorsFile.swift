/// A memory-mapped safetensors file: nothing but the header is read until a tensor's bytes are.
public final class SafetensorsFile: TensorFile {
    public let file: MappedFile
    public let header: SafetensorsHeader

    /// - Throws: `FileError`, `SafetensorsError`.
    public init(path: String) throws {
        file = try MappedFile(path: path)
        header = try file.withBytes { try SafetensorsHeader(file: $0, path: path) }
    }

    public var path: String { file.path }
    public var headerBytes: [UInt8] { file.withBytes { Array($0[..<header.dataStart]) } }

    public func view(_ entry: Int) -> TensorView {
        let entry = header.entries[entry]
        return TensorView(info: entry.info, bytes: UnsafeRawBufferPointer(rebasing: file.bytes[entry.range]), origin: path, owner: self)
    }

    public func read(_ entry: Int, _ bytes: Range<Int>, into destination: UnsafeMutableRawPointer) {
        let start = header.entries[entry].range.lowerBound + bytes.lowerBound
        precondition(start + bytes.count <= header.entries[entry].range.upperBound, "bytes outside of a tensor")
        if let base = file.bytes.baseAddress { file.withBytes { _ in destination.copyMemory(from: base + start, byteCount: bytes.count) } }
    }

    public func release(_ entry: Int, _ bytes: Range<Int>) { view(entry).release(bytes) }

    public func copyFloats(_ entry: Int, _ elements: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
        try view(entry).copyFloats(elements, into: destination)
    }

    /// Advises the kernel how one tensor's bytes are going to be read; an unknown name is ignored.
    public func advise(_ hint: MappedFile.Hint, tensor name: String) {
        guard let index = header.index(of: name) else { return }
        file.advise(hint, range: header.entries[index].range)
    }
}

/// One tensor's bytes where they lie, at any alignment; keeps what owns them alive.
///
/// Sendable: the bytes are never written.
public struct TensorView: @unchecked Sendable {
    public let info: TensorInfo
    /// Little-endian elements in row-major order. Valid as long as this view or a copy of it lives: the address alone keeps nothing
    /// alive, so hold the view where it is used, or read through `withBytes`.
    public let bytes: UnsafeRawBufferPointer
    /// The file, for error messages.
    public let origin: String
    private let owner: AnyObject

    /// - Parameter owner: the object that keeps `bytes` valid and unchanged.
    public init(info: TensorInfo, bytes: UnsafeRawBufferPointer, origin: String, owner: AnyObject) {
        self.info = info
        self.bytes = bytes
        self.origin = origin
        self.owner = owner
    }

    public var name: String { info.name }
    public var dtype: DType { info.dtype }
    public var shape: [Int] { info.shape }

    /// The bytes are those of a mapped file, whose pages come back when they are read.
    var isMapped: Bool { owner is SafetensorsFile }

    /// Reads the bytes while keeping their owner alive.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(owner) { try body(bytes) }
    }

    /// Converts elements (nil: all) to Float; F64 is rounded to nearest.
    ///
    /// - Precondition: the range lies within the tensor.
    /// - Throws: `SafetensorsError.notFloatingPoint`.
    public func copyFloats(_ elements: Range<Int>? = nil, into destination: UnsafeMutablePointer<Float>) throws {
        let range = elements ?? 0..<info.elementCount
        precondition(range.lowerBound >= 0 && range.upperBound <= info.elementCount, "elements outside of \(name)")
        guard let base = bytes.baseAddress, !range.isEmpty else {
            guard dtype.isFloatingPoint else { throw SafetensorsError.notFloatingPoint(path: origin, tensor: name, dtype: dtype) }
            return
        }
        let source = base + range.lowerBound * dtype.byteCount
        defer { withExtendedLifetime(owner) {} }
        switch dtype {
        case .f32: FloatConversion.floats(fromF32: source, count: range.count, into: destination)
        case .f16: FloatConversion.floats(fromF16: source, count: range.count, into: destination)
        case .bf16: FloatConversion.floats(fromBF16: source, count: range.count, into: destination)
        case .f64: FloatConversion.floats(fromF64: source, count: range.count, into: destination)
        default: throw SafetensorsError.notFloatingPoint(path: origin, tensor: name, dtype: dtype)
        }
    }
}

extension DType {
    /// Whether elements convert to Float one by one (the 8-bit types need scales and do not).
    public var isFloatingPoint: Bool {
        switch self {
        case .f32, .f16, .bf16, .f64: true
        default: false
        }
    }
}
