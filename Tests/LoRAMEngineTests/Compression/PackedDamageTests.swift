import CLoRAMKernels
import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Whatever happens to a packed checkpoint is found and named; nothing is ever read that was not packed.
@Suite struct PackedDamageTests {
    let work: TemporaryDirectory
    let packed: String

    init() throws {
        work = try TemporaryDirectory()
        packed = work.path("p")
        let source = try PackFixture.directory()
        _ = try PackFixture.pack(source.path, packed)
    }

    func problem() -> (any DiagnosedError)? {
        do { _ = try StorageRun.verify(packed, threads: 1) } catch { return error as? any DiagnosedError }
        return nil
    }

    @Test func everyFlippedBitIsFound() throws {
        let stored = "\(packed)/model.safetensors.planes"
        let original = try FileSystem.read(stored)
        var random = LinearCongruentialGenerator(seed: 3)
        // Each bit of a frame's head and of the last bytes, and some anywhere.
        let places = (0..<24).map { $0 } + (original.count - 4..<original.count).map { $0 } + (0..<24).map { _ in random.below(original.count) }
        for place in places {
            try PackFixture.flip(stored, byte: place, bit: random.below(8))
            let found = problem()
            #expect(found?.exitCode == .badInput && found.map { "\($0)".contains("frame") } == true, "byte \(place)")
            try OutputFile.write(original, to: stored)
        }
        #expect(problem() == nil)
    }

    /// Each plane has a checksum of its own, stored ones too: damage from before the frame was hashed.
    @Test func damageUnderARightHashOfTheFrameIsFound() throws {
        let index = "\(packed)/checkpoint.json", stored = "\(packed)/model.safetensors.planes", original = try FileSystem.read(stored)
        var json = try JSONValue.parse(contentsOf: index)
        json["index_sha256"] = nil
        guard case .array(var files)? = json["files"], case .array(var sections)? = files[0]["sections"] else { return #expect(Bool(false)) }
        func sizes(_ section: JSONValue) -> [Int] {
            guard case .array(let values)? = section["stored"] else { return [] }
            return values.map { if case .integer(let size) = $0 { size } else { 0 } }
        }
        let part = try #require(sections.firstIndex { $0["tensor"] == .string("weights") })
        let start = sections[..<part].flatMap(sizes).reduce(0, +), low = sizes(sections[part])[0], count = low + sizes(sections[part])[1]
        // Signs and mantissas are stored, in four blocks: content of the first, the third and the last, their checksum; then the exponents' one.
        try #require(low > 1 << 19)
        for place in [9 + 3, 300_000, low - 5, low - 4, low - 1, count - 1] {
            var bytes = original
            bytes[start + place] ^= 4
            let hash = bytes[start..<start + count].withUnsafeBytes { loram_xxh64($0.baseAddress, $0.count) }
            guard case .string(let hashes)? = sections[part]["xxh64"] else { return #expect(Bool(false)) }
            let digits = String(hash, radix: 16)
            sections[part]["xxh64"] = .string(String(repeating: "0", count: 16 - digits.count) + digits + hashes.dropFirst(16))
            files[0]["sections"] = .array(sections)
            json["files"] = .array(files)
            try OutputFile.write(json.serializedBytes(), to: index)
            try OutputFile.write(bytes, to: stored)
            guard case .damagedFrame(_, "weights"?, 0, let reason)? = problem() as? CompressionError else {
                return #expect(Bool(false), "byte \(place): \(problem().debugDescription)")
            }
            #expect(reason.contains("checksum"), "\(reason)")
        }
    }

    @Test func everyFlippedBitOfTheIndexIsFound() throws {
        let path = "\(packed)/checkpoint.json"
        let original = try FileSystem.read(path)
        var random = LinearCongruentialGenerator(seed: 4)
        // The last byte is a line feed, which another space may replace.
        for _ in 0..<200 {
            try PackFixture.flip(path, byte: random.below(original.count - 1), bit: random.below(8))
            #expect(problem()?.exitCode == .badInput)
            try OutputFile.write(original, to: path)
        }
    }

    @Test func cutMissingAndExchangedFilesAreNamed() throws {
        let stored = "\(packed)/model.safetensors.planes", original = try FileSystem.read(stored)
        try OutputFile.write(Array(original.dropLast()), to: stored)
        guard case .wrongSize(stored, original.count, _)? = problem() as? CompressionError else { return #expect(Bool(false), "\(problem().debugDescription)") }
        try OutputFile.write(original + [0], to: stored)
        guard case .wrongSize? = problem() as? CompressionError else { return #expect(Bool(false)) }
        try FileSystem.remove(stored)
        #expect(problem() as? CompressionError == .missingFile(index: "\(packed)/checkpoint.json", file: "model.safetensors.planes"))
        try OutputFile.write(original, to: stored)
        try FileSystem.remove("\(packed)/tokenizer.model")
        #expect(problem() as? CompressionError == .missingFile(index: "\(packed)/checkpoint.json", file: "tokenizer.model"))
        try OutputFile.write([0, 255, 11], to: "\(packed)/tokenizer.model")
        guard case .wrongHash? = problem() as? CompressionError else { return #expect(Bool(false)) }
    }

    /// An index without its hash, as another program may write it, with a lie in it.
    @Test(arguments: ["bytes", "frame_bytes", "codec", "stored_name", "stored", "xxh64", "dtype", "shape", "name", "sha256", "format_version"])
    func liesInTheIndexAreFound(key: String) throws {
        let path = "\(packed)/checkpoint.json"
        var json = try JSONValue.parse(contentsOf: path)
        json["index_sha256"] = nil
        try OutputFile.write(json.serializedBytes(), to: path)
        #expect(problem() == nil)
        func changed(_ value: JSONValue?) -> JSONValue? {
            switch value {
            case .integer(let number)?: .integer(number + 8)
            case .string(let text)? where text.utf8.count >= 16: .string("0" + text.dropFirst().replacingOccurrences(of: "a", with: "b"))
            case .string(let text)?: .string(text == "BF16" ? "F16" : text + "x")
            case .array(let elements)?: .array(elements.reversed() + [1])
            default: nil
            }
        }
        guard case .array(var files)? = json["files"], case .array(var sections)? = files[0]["sections"] else { return #expect(Bool(false)) }
        if ["frame_bytes", "codec", "format_version"].contains(key) {
            json[key] = changed(json[key])
        } else if ["bytes", "stored_name", "name", "sha256"].contains(key) {
            files[0][key] = changed(files[0][key])
        } else {
            let last = sections.count - 1
            sections[last][key] = changed(sections[last][key])
            files[0]["sections"] = .array(sections)
        }
        json["files"] = .array(files)
        try OutputFile.write(json.serializedBytes(), to: path)
        #expect(problem()?.exitCode == .badInput)
    }

    /// Sizes, nesting and types from an enemy end in an error, never in a trap.
    @Test func fuzzedIndicesEndInAnError() throws {
        let path = "\(packed)/checkpoint.json"
        var json = try JSONValue.parse(contentsOf: path)
        json["index_sha256"] = nil
        let original = json.serializedBytes()
        var random = LinearCongruentialGenerator(seed: 6)
        for _ in 0..<300 {
            try OutputFile.write(mutated(original, with: &random), to: path)
            do {
                let files = try CheckpointFiles(directory: packed)
                for (_, file) in try files.all() { for entry in file.tensors.indices { _ = try file.view(entry) } }
            } catch {
                #expect(error is any DiagnosedError, "\(error)")
            }
        }
    }
}
