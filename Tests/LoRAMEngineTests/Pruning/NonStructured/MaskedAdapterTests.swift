import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// Masked low-rank products against the dense model W + M o (s B A), which needs no code of theirs.
@Suite struct MaskedAdapterTests {
    let fixture: ParityFixture
    let directory: TemporaryDirectory
    let masks: PruningMasks

    init() throws {
        fixture = try ParityFixture("llama2")
        directory = try TemporaryDirectory()
        let config = fixture.source.config, path = directory.path(PruningMasks.fileName)
        let label = PruningMasks.Label(method: "unst", score: .magnitude, sparsity: .ratio(0.5), sourceConfigHash: config.identityHash)
        // The last layer stays whole.
        let sites = (0..<2).flatMap { layer in LinearSite.inLayer.map { ($0, layer, $0.shape(in: config, layer: layer)) } }
        let infos = sites.map { site, layer, shape in
            TensorInfo(name: "\(site.modulePath(layer: layer)).weight", dtype: .u8, shape: [shape.out, (shape.in + 7) / 8])
        }
        let writer = try SafetensorsWriter(path: path, tensors: infos, metadata: label.metadata)
        var random = LinearCongruentialGenerator(seed: 3)
        for info in infos {
            let bits = (0..<info.elementCount).map { _ in UInt8(random.below(256)) }
            try bits.withUnsafeBytes { try writer.append($0, to: info.name) }
        }
        try writer.finish()
        masks = try PruningMasks(path: path, config: config)
        #expect(masks.label == label)
    }

    /// The fixture's model with M o (s B A) added to its weights.
    struct Merged: TensorSource {
        let source: Checkpoint
        let deltas: [String: [Float]]
        var config: LlamaConfig { source.config }
        func contains(_ name: String) -> Bool { source.contains(name) }
        func copyFloats(_ name: String, shape: [Int], rows: Range<Int>?, into destination: UnsafeMutablePointer<Float>) throws {
            try source.copyFloats(name, shape: shape, rows: rows, into: destination)
            guard let delta = deltas[name] else { return }
            let first = (rows?.lowerBound ?? 0) * shape[1]
            for index in 0..<(rows?.count ?? shape[0]) * shape[1] { destination[index] += delta[first + index] }
        }
    }

    func stage(_ source: any TensorSource, _ training: Training, masks: PruningMasks?) throws -> ModelStage {
        try ModelStage(
            source: source, range: .whole(source.config), training: training,
            capacity: StageCapacity(tokens: fixture.tokenCapacity, positions: fixture.positionCapacity), pool: ThreadPool(threadCount: 2),
            kernels: ComputeKernels(), masks: masks)
    }

    /// Loss and gradients of the first micro-batch.
    func run(_ stage: ModelStage) throws -> (loss: Double, gradients: [Float]) {
        var gradients = [Float](repeating: 0, count: stage.layout.count)
        let loss = try gradients.withUnsafeMutableBufferPointer { buffer in
            stage.gradients = buffer.baseAddress
            try stage.load(fixture.batches[0], slot: 0)
            stage.forward(slot: 0, input: nil, output: nil)
            return stage.backward(slot: 0, outputGradient: nil, inputGradient: nil)
        }
        return (loss, gradients)
    }

    @Test func sameAsTheDenseModel() throws {
        var lora = fixture.adapter.lora
        lora.dropout = 0
        let config = fixture.source.config, rank = lora.rank
        let masked = try stage(fixture.source, .lora(lora), masks: masks)
        try masked.loadParameters(from: fixture.adapter)
        let (loss, gradients) = try run(masked)

        func factors(_ site: LinearSite, _ layer: Int, _ values: UnsafePointer<Float>) -> (a: ArraySlice<Float>, b: ArraySlice<Float>) {
            let all = Array(UnsafeBufferPointer(start: values, count: masked.layout.count))
            let a = masked.layout.tensor(named: AdapterName.a(site, layer: layer))!, b = masked.layout.tensor(named: AdapterName.b(site, layer: layer))!
            return (all[a.offset..<a.offset + a.count], all[b.offset..<b.offset + b.count])
        }
        var deltas: [String: [Float]] = [:]
        let sites = (0..<config.layerCount).flatMap { layer in LinearSite.inLayer.filter(lora.targets.contains).map { ($0, layer) } }
            + (lora.targets.contains(.lmHead) ? [(.lmHead, 0)] : [])
        for (site, layer) in sites {
            let shape = site.shape(in: config, layer: layer), (a, b) = factors(site, layer, UnsafePointer(masked.parameters))
            var delta = [Float](repeating: 0, count: shape.out * shape.in)
            for row in 0..<shape.out {
                for column in 0..<shape.in {
                    delta[row * shape.in + column] = lora.scale * (0..<rank).reduce(Float(0)) {
                        $0 + b[b.startIndex + row * rank + $1] * a[a.startIndex + $1 * shape.in + column]
                    }
                }
            }
            try masks.apply(site, layer: layer, columns: shape.in, rows: 0..<shape.out, to: &delta)
            deltas["\(site.modulePath(layer: layer)).weight"] = delta
        }
        let dense = try stage(Merged(source: fixture.source, deltas: deltas), .dense(frozen: []), masks: nil)
        let (denseLoss, denseGradients) = try run(dense)
        #expect(abs(loss - denseLoss) < 1e-4 * denseLoss)

        for (site, layer) in sites {
            let shape = site.shape(in: config, layer: layer), (a, b) = factors(site, layer, UnsafePointer(masked.parameters))
            let tensor = dense.layout.tensor(named: "\(site.modulePath(layer: layer)).weight")!
            var dW = Array(denseGradients[tensor.offset..<tensor.offset + tensor.count])
            try masks.apply(site, layer: layer, columns: shape.in, rows: 0..<shape.out, to: &dW)
            var dA = [Float](repeating: 0, count: rank * shape.in), dB = [Float](repeating: 0, count: shape.out * rank)
            for row in 0..<shape.out {
                for column in 0..<shape.in {
                    for r in 0..<rank {
                        dA[r * shape.in + column] += lora.scale * b[b.startIndex + row * rank + r] * dW[row * shape.in + column]
                        dB[row * rank + r] += lora.scale * a[a.startIndex + r * shape.in + column] * dW[row * shape.in + column]
                    }
                }
            }
            let found = gradients.withUnsafeBufferPointer { factors(site, layer, $0.baseAddress!) }
            #expect(relativeError(Array(found.a), dA) < 1e-4 && relativeError(Array(found.b), dB) < 1e-4, "\(site) \(layer)")
        }
    }

    /// With dropout the input gradient goes through the same decisions as the output: a small step along the gradient changes the loss by as much as the
    /// gradient says.
    @Test func gradientWithDropout() throws {
        var lora = fixture.adapter.lora
        lora.dropout = 0.2
        let masked = try stage(fixture.source, .lora(lora), masks: masks)
        try masked.loadParameters(from: fixture.adapter)
        let (_, gradients) = try run(masked)
        let norm = gradients.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        let start = Array(UnsafeBufferPointer(start: masked.parameters, count: masked.layout.count))
        func loss(_ step: Double) throws -> Double {
            for index in start.indices { masked.parameters[index] = start[index] + Float(step * Double(gradients[index]) / norm) }
            return try run(masked).loss
        }
        let slope = try (loss(0.01) - loss(-0.01)) / 0.02
        #expect(abs(slope - norm) < 0.01 * norm, "\(slope) \(norm)")
    }

    @Test func gradientsOfPrunedWeightsVanish() throws {
        let dense = try stage(fixture.source, .dense(frozen: []), masks: masks)
        var (_, gradients) = try run(dense)
        gradients.withUnsafeMutableBufferPointer {
            dense.gradients = $0.baseAddress
            dense.maskGradients()
        }
        for tensor in dense.layout.tensors {
            let site = LinearSite.inLayer.first { tensor.name.hasSuffix("\($0.rawValue).weight") }
            let layer = (0..<3).first { tensor.name.contains(".\($0).") }
            let values = gradients[tensor.offset..<tensor.offset + tensor.count]
            guard let site, let layer, let mask = try masks.mask(site, layer: layer) else {
                #expect(values.contains { $0 != 0 })
                continue
            }
            let columns = tensor.shape[1], bits = mask.withBytes { Array($0) }
            var lost = 0
            for (index, value) in values.enumerated() {
                let kept = bits[index / columns * ((columns + 7) / 8) + index % columns / 8] >> (index % columns % 8) & 1 == 1
                if !kept { #expect(value == 0) } else if value == 0 { lost += 1 }
            }
            #expect(lost < values.count / 4)
        }
    }

    @Test func wrongFilesAreRefused() throws {
        var other = fixture.source.config
        other.rmsNormEpsilon *= 2
        #expect(throws: PruningError.self) { try PruningMasks(path: masks.path, config: other) }
        let path = directory.path("wrong.safetensors")
        for (name, dtype, shape) in [("model.layers.0.mlp.down_proj.weight", DType.u8, [48, 15]), ("lm_head.weight", .u8, [97, 6]), ("model.layers.0.mlp.down_proj.weight", .i8, [48, 16])] {
            let writer = try SafetensorsWriter(path: path, tensors: [TensorInfo(name: name, dtype: dtype, shape: shape)], metadata: masks.label.metadata)
            try [UInt8](repeating: 0, count: shape[0] * shape[1]).withUnsafeBytes { try writer.append($0, to: name) }
            try writer.finish()
            #expect(throws: PruningError.self, "\(name)") { try PruningMasks(path: path, config: fixture.source.config) }
        }
    }
}
