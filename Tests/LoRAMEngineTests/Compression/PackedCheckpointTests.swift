import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct PackedCheckpointTests {
    static func formats(_ name: String) throws -> String { try FormatsFixture.path(name) }

    @Test(arguments: [Codec.planes, .zstd])
    func unpackingGivesTheSameBytes(codec: Codec) throws {
        let source = try PackFixture.directory(), work = try TemporaryDirectory()
        let report = try PackFixture.pack(source.path, work.path("p"), codec)
        #expect(report.fileCount == 1 && report.storedByteCount < report.plainByteCount)
        _ = try StorageRun.verify(work.path("p"), threads: 2)
        _ = try StorageRun.unpack(work.path("p"), to: work.path("u"), threads: 2)
        #expect(try PackFixture.contents(work.path("u")) == PackFixture.contents(source.path))
        #expect(try FilePath.names(inDirectory: work.path) == ["p", "u"])
    }

    /// Made by transformers, PEFT and safetensors for Python.
    @Test(arguments: ["sharded", "tied", "adapter"])
    func filesOfOthersComeBack(name: String) throws {
        let source = try Self.formats(name), work = try TemporaryDirectory()
        // From one codec into the other, and back.
        _ = try PackFixture.pack(source, work.path("z"), .zstd)
        _ = try PackFixture.pack(work.path("z"), work.path("p"), .planes, hashes: false)
        _ = try StorageRun.unpack(work.path("p"), to: work.path("u"), threads: 1)
        #expect(try PackFixture.contents(work.path("u")) == PackFixture.contents(source))
    }

    @Test func unalignedTensorsAndAllTypesOfOthersComeBack() throws {
        let work = try TemporaryDirectory()
        try FileSystem.createDirectory(work.path("s"))
        for name in ["types.safetensors", "odd-offsets.safetensors"] {
            try FileManager.default.copyItem(atPath: Self.formats(name), toPath: work.path("s/\(name)"))
        }
        _ = try PackFixture.pack(work.path("s"), work.path("p"))
        _ = try StorageRun.unpack(work.path("p"), to: work.path("u"), threads: 2)
        #expect(try PackFixture.contents(work.path("u")) == PackFixture.contents(work.path("s")))
    }

    @Test(arguments: ["sharded", "tied"], [Codec.planes, .zstd])
    func aPackedCheckpointReadsAsThePlainOne(name: String, codec: Codec) throws {
        let work = try TemporaryDirectory()
        _ = try PackFixture.pack(Self.formats(name), work.path("p"), codec)
        let plain = try Checkpoint(directory: Self.formats(name)), packed = try Checkpoint(directory: work.path("p"))
        try packed.validate()
        #expect(try packed.tensorNames() == plain.tensorNames() && packed.config == plain.config && packed.shardNames == plain.shardNames)
        for (name, shape) in WeightLayout.names(plain.config) {
            let count = shape.reduce(1, *)
            var a = [Float](repeating: 1, count: count), b = [Float](repeating: 2, count: count)
            try plain.copyFloats(name, shape: shape, rows: nil, into: &a)
            try packed.copyFloats(name, shape: shape, rows: nil, into: &b)
            #expect(bits(a) == bits(b), "\(name)")
        }
        #expect(try Inspection(path: work.path("p")).tensors == Inspection(path: Self.formats(name)).tensors)
        #expect(try TensorDiff.compare(Self.formats(name), work.path("p")).differences.isEmpty)
    }

    @Test func quantizedWeightsReadTheSame() throws {
        let work = try TemporaryDirectory(), source = try NF4Fixture.path("double")
        _ = try PackFixture.pack(source, work.path("p"))
        let plain = try Checkpoint(directory: source), packed = try Checkpoint(directory: work.path("p"))
        try packed.validate()
        for (name, _) in WeightLayout.names(plain.config) {
            guard let a = try plain.nf4(name) else { continue }
            let b = try #require(try packed.nf4(name))
            #expect(bits(a.floats()) == bits(b.floats()) && bits(b.floats(rows: 1..<3)) == bits(a.floats(rows: 1..<3)))
        }
    }

    @Test func rowsOfALargeTensorAreReadByThemselves() throws {
        let source = try PackFixture.directory(), work = try TemporaryDirectory()
        _ = try PackFixture.pack(source.path, work.path("p"))
        for name in ["weights", "scalar", "empty", "codes"] {
            try StorageRun.extract([name], from: work.path("p"), to: work.path("\(name).safetensors"))
            let expected = try SafetensorsFile(path: source.path("model.safetensors")), found = try SafetensorsFile(path: work.path("\(name).safetensors"))
            #expect(found.tensors.map(\.name) == [name])
            #expect(try found.bytes(name) == expected.bytes(name))
        }
        #expect(caught(CompressionError.self) { try StorageRun.extract(["no"], from: work.path("p"), to: work.path("n")) } == .noSuchTensor(path: work.path("p"), tensor: "no"))
    }

    @Test func prunesAndQuantizesFromAPackedModel() throws {
        let work = try TemporaryDirectory(), source = try Self.formats("sharded")
        _ = try PackFixture.pack(source, work.path("p"))
        for (name, path) in [("a", source), ("b", work.path("p"))] {
            let model = try ModelReference.open(path)
            let plan = try RandomPruning.plan(config: model.config, ratio: 0.5, keepFirst: 0, keepLast: 0, seed: 1)
            try StructuredPruner.prune(model, plan: plan, to: work.path("pruned-\(name)"))
            try Quantizer().quantize(model, to: work.path("quantized-\(name)"))
        }
        for kind in ["pruned", "quantized"] {
            #expect(try PackFixture.contents(work.path("\(kind)-a")) == PackFixture.contents(work.path("\(kind)-b")))
        }
    }

    @Test func aPackThatWasCutOffGoesOn() throws {
        let source = try Self.formats("sharded"), work = try TemporaryDirectory(), output = work.path("p")
        // The first two files of an attempt that was killed while it wrote the third.
        let files = try CheckpointFiles(directory: source)
        let packer = try FilePacker(codec: .planes, hashes: true, pool: ThreadPool(threadCount: 1))
        let store = CheckpointStore(path: output, codec: .planes, hashes: true)
        let partial = AtomicDirectory.resumablePath(of: output)
        try FileSystem.createDirectory(partial)
        for name in files.names.prefix(2) {
            _ = try store.store(files.open(name), name: name, fingerprint: files.fingerprint(name), packer: packer) { _ in }
        }
        try OutputFile.write([1, 2, 3], to: "\(partial)/\(files.names[2]).planes.partial-1")
        let kept = try #require(inode("\(partial)/\(files.names[0]).planes"))
        _ = try PackFixture.pack(source, output)
        #expect(inode("\(output)/\(files.names[0]).planes") == kept)
        #expect(try FilePath.names(inDirectory: work.path) == ["p"])
        _ = try StorageRun.verify(output, threads: 1)
        _ = try PackFixture.pack(source, work.path("q"))
        #expect(try PackFixture.contents(output) == PackFixture.contents(work.path("q")))
    }

    private func inode(_ path: String) -> Int? {
        (try? FileManager.default.attributesOfItem(atPath: path))?[.systemFileNumber] as? Int
    }

    @Test func anExistingOutputIsRefused() throws {
        let source = try PackFixture.directory(), work = try TemporaryDirectory()
        _ = try PackFixture.pack(source.path, work.path("p"))
        #expect(caught(FileError.self) { _ = try PackFixture.pack(source.path, work.path("p")) } == .exists(path: work.path("p")))
    }
}
