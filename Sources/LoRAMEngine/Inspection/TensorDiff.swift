/// How two sets of tensors differ: checkpoints, packed or not, adapters, or single files.
public struct TensorDiff: Sendable {
    public enum Difference: Sendable, Equatable {
        case onlyInFirst
        case onlyInSecond
        /// Type or shape.
        case kind(first: TensorInfo, second: TensorInfo)
        /// Of numbers: the largest difference, and the norm of the difference over the norm of the first. Not finite where a value is not.
        case values(maxAbsolute: Double, relative: Double)
        /// Of types that are no numbers by themselves, such as 4-bit codes: how many bytes differ.
        case bytes(count: Int, of: Int)
    }

    public let first: String
    public let second: String
    /// Tensors that both have, with the same type and shape.
    public private(set) var comparedCount = 0
    /// In the order of the first, then what only the second has.
    public private(set) var differences: [(name: String, difference: Difference)] = []

    /// - Throws: errors of opening and reading either.
    public static func compare(_ first: String, _ second: String) throws -> TensorDiff {
        var diff = TensorDiff(first: first, second: second)
        let a = try Side(first), b = try Side(second)
        let scratch = Scratch()
        for (name, place) in a.places {
            guard let other = b.byName[name] else {
                diff.differences.append((name, .onlyInFirst))
                continue
            }
            if place.info.dtype != other.info.dtype || place.info.shape != other.info.shape {
                diff.differences.append((name, .kind(first: place.info, second: other.info)))
                // A weight in another type still has values.
                guard place.info.shape == other.info.shape, place.info.dtype.isFloatingPoint, other.info.dtype.isFloatingPoint else { continue }
                if let difference = try scratch.values(place, other) { diff.differences.append((name, difference)) }
                continue
            }
            diff.comparedCount += 1
            guard let bytes = try scratch.bytes(place, other) else { continue }
            let values = place.info.dtype.isFloatingPoint ? try scratch.values(place, other) : nil
            diff.differences.append((name, values ?? bytes))
        }
        for (name, _) in b.places where a.byName[name] == nil { diff.differences.append((name, .onlyInSecond)) }
        return diff
    }

    private init(first: String, second: String) {
        self.first = first
        self.second = second
    }

    fileprivate struct Place {
        var file: any TensorFile
        var entry: Int
        var info: TensorInfo { file.header.entries[entry].info }
    }

    private struct Side {
        var places: [(name: String, place: Place)] = []
        var byName: [String: Place] = [:]

        init(_ path: String) throws {
            let files = FilePath.isDirectory(path) ? try CheckpointFiles(directory: path).all().map(\.file) : [try SafetensorsFile(path: path)]
            for file in files {
                for (entry, info) in file.tensors.enumerated() where byName[info.name] == nil {
                    let place = Place(file: file, entry: entry)
                    places.append((info.name, place))
                    byName[info.name] = place
                }
            }
        }
    }

    /// Fixed buffers for a piece of either side.
    private final class Scratch {
        private static let elementCount = 1 << 18
        private let a = ByteBuffer(count: 4 * elementCount), b = ByteBuffer(count: 4 * elementCount)

        func values(_ first: Place, _ second: Place) throws -> Difference? {
            let x = a.base.assumingMemoryBound(to: Float.self), y = b.base.assumingMemoryBound(to: Float.self)
            var largest = 0.0, squares = 0.0, norm = 0.0, bitsDiffer = false
            for start in stride(from: 0, to: first.info.elementCount, by: Self.elementCount) {
                let elements = start..<min(start + Self.elementCount, first.info.elementCount)
                try first.file.copyFloats(first.entry, elements, into: x)
                try second.file.copyFloats(second.entry, elements, into: y)
                for place in [first, second] {
                    let width = place.info.dtype.byteCount
                    place.file.release(place.entry, elements.lowerBound * width..<elements.upperBound * width)
                }
                var i = 0
                while i < elements.count {
                    let value = Double(x[i]), difference = Double(y[i]) - value
                    bitsDiffer = bitsDiffer || x[i].bitPattern != y[i].bitPattern
                    largest = difference.magnitude > largest || difference.isNaN ? difference.magnitude : largest
                    squares += difference * difference
                    norm += value * value
                    i &+= 1
                }
            }
            guard bitsDiffer else { return nil }
            return .values(maxAbsolute: largest, relative: norm > 0 ? (squares / norm).squareRoot() : squares > 0 ? .infinity : 0)
        }

        func bytes(_ first: Place, _ second: Place) throws -> Difference? {
            var count = 0
            let total = first.info.byteCount
            for start in stride(from: 0, to: total, by: a.count) {
                let bytes = start..<min(start + a.count, total)
                try first.file.read(first.entry, bytes, into: a.base)
                try second.file.read(second.entry, bytes, into: b.base)
                first.file.release(first.entry, bytes)
                second.file.release(second.entry, bytes)
                let x = a.base.assumingMemoryBound(to: UInt8.self), y = b.base.assumingMemoryBound(to: UInt8.self)
                var i = 0
                while i < bytes.count {
                    count &+= x[i] == y[i] ? 0 : 1
                    i &+= 1
                }
            }
            return count == 0 ? nil : .bytes(count: count, of: total)
        }
    }
}

extension TensorDiff: CustomStringConvertible {
    public var json: JSONValue {
        [
            "first": .string(first), "second": .string(second), "equal": .bool(differences.isEmpty), "compared": .integer(comparedCount),
            "differences": .array(
                differences.map { name, difference in
                    switch difference {
                    case .onlyInFirst: ["name": .string(name), "only_in": "first"]
                    case .onlyInSecond: ["name": .string(name), "only_in": "second"]
                    case .kind(let a, let b): ["name": .string(name), "first": .string(Self.text(a)), "second": .string(Self.text(b))]
                    case .values(let largest, let relative): ["name": .string(name), "max_abs": .double(largest), "relative": .double(relative)]
                    case .bytes(let count, let total): ["name": .string(name), "bytes_differ": .integer(count), "bytes": .integer(total)]
                    }
                }),
        ]
    }

    public var description: String {
        let lines = differences.map { name, difference in
            switch difference {
            case .onlyInFirst: "\(name)  only in \(first)"
            case .onlyInSecond: "\(name)  only in \(second)"
            case .kind(let a, let b): "\(name)  \(Self.text(a)) | \(Self.text(b))"
            case .values(let largest, let relative): "\(name)  max abs \(Self.short(largest))  relative \(Self.short(relative))"
            case .bytes(let count, let total): "\(name)  \(Formatting.grouped(count)) of \(Formatting.grouped(total)) bytes"
            }
        }
        let names = Set(differences.map(\.name)).count
        let summary = differences.isEmpty
            ? "all \(Formatting.grouped(comparedCount)) tensors are the same" : "\(Formatting.grouped(names)) tensors differ, \(Formatting.grouped(comparedCount)) were compared"
        return (lines.map(\.singleLine) + [summary]).joined(separator: "\n")
    }

    private static func text(_ info: TensorInfo) -> String {
        "\(info.dtype.rawValue) \(info.shape.isEmpty ? "scalar" : info.shape.map(String.init).joined(separator: " x "))"
    }

    private static func short(_ value: Double) -> String { Float(value).description }
}
