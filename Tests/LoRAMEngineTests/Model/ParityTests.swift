import LoRAMEngine
import Testing

/// Forward, backward and updates against transformers + PEFT in float64.
@Suite struct ParityTests {
    static let tolerance = 1e-4

    @Test(arguments: ParityFixture.names) func logitsWithAdapter(_ name: String) throws {
        let fixture = try ParityFixture(name)
        try checkLogits(fixture, fixture.stage(.none(adapter: fixture.adapter.lora)), "logits")
    }

    @Test(arguments: ParityFixture.names) func logitsWithoutAdapter(_ name: String) throws {
        let fixture = try ParityFixture(name)
        try checkLogits(fixture, fixture.stage(.none(adapter: nil)), "dense_logits")
    }

    private func checkLogits(_ fixture: ParityFixture, _ stage: ModelStage, _ reference: String) throws {
        var found: [Float] = []
        for batch in fixture.batches {
            try stage.load(batch, slot: 0)
            stage.forward(slot: 0, input: nil, output: nil)
            var logits = [Float](repeating: 0, count: batch.tokenCount * stage.config.vocabularySize)
            logits.withUnsafeMutableBufferPointer { stage.logits(slot: 0, into: $0.baseAddress!) }
            found += logits
        }
        let expected = try fixture.reference(reference)
        #expect(relativeError(found, expected) < Self.tolerance)
    }

    @Test(arguments: ParityFixture.names, [Recomputation.full, .none])
    func loraLossAndGradients(_ name: String, _ recomputation: Recomputation) throws {
        let fixture = try ParityFixture(name)
        let stage = try fixture.stage(.lora(fixture.adapter.lora), threads: 2, recomputation: recomputation)
        try checkLossAndGradients(fixture, stage, prefix: "lora.", loss: "sum_nll")
    }

    /// Every set of kernels that this CPU has, not only the one that it would choose.
    @Test(arguments: ComputeKernels.availableNames, ParityFixture.names)
    func everyKernelSet(_ kernels: String, _ name: String) throws {
        let fixture = try ParityFixture(name)
        try checkLossAndGradients(fixture, fixture.stage(.lora(fixture.adapter.lora), kernels: kernels), prefix: "lora.", loss: "sum_nll")
        try checkLossAndGradients(fixture, fixture.stage(.dense(frozen: []), kernels: kernels), prefix: "dense.", loss: "dense_sum_nll")
    }

    /// `ComputeKernels.init` compares the set with the portable one and throws where they disagree.
    @Test(arguments: ComputeKernels.availableNames, ComputeType.allCases)
    func everyKernelSetAgreesWithThePortableOne(_ kernels: String, _ type: ComputeType) throws {
        #expect(try ComputeKernels(type: type, name: kernels).name == kernels)
    }

    @Test(arguments: ParityFixture.names) func denseLossAndGradients(_ name: String) throws {
        let fixture = try ParityFixture(name)
        try checkLossAndGradients(fixture, fixture.stage(.dense(frozen: []), threads: 2), prefix: "dense.", loss: "dense_sum_nll")
    }

    private func checkLossAndGradients(_ fixture: ParityFixture, _ stage: ModelStage, prefix: String, loss: String) throws {
        var gradients = [Float](repeating: 0, count: stage.layout.count)
        var total = 0.0
        try gradients.withUnsafeMutableBufferPointer {
            stage.gradients = $0.baseAddress!
            for batch in fixture.batches {
                try stage.load(batch, slot: 0)
                stage.forward(slot: 0, input: nil, output: nil)
                total += stage.backward(slot: 0, outputGradient: nil, inputGradient: nil)
            }
        }
        let expectedLoss = try #require(fixture.expected[loss]?.doubleValue)
        #expect(abs(total - expectedLoss) / expectedLoss < Self.tolerance)
        var checked = 0
        for tensor in stage.layout.tensors where tensor.tiedTo == nil {
            var found = Array(gradients[tensor.offset..<tensor.offset + tensor.count])
            // A tied matrix's gradient is that of its two uses.
            for alias in stage.layout.tensors where alias.tiedTo == tensor.name {
                for index in found.indices { found[index] += gradients[alias.offset + index] }
            }
            let reference = try fixture.reference(prefix + tensor.name)
            let error = relativeError(found, reference)
            #expect(error < Self.tolerance, "\(tensor.name): \(error)")
            checked += 1
        }
        let references = fixture.tensors.tensors.filter { $0.name.hasPrefix(prefix) }.count
        #expect(checked == references, "every gradient in the fixture is compared")
    }

    @Test(arguments: ParityFixture.names) func twentyLoRAUpdates(_ name: String) throws {
        let fixture = try ParityFixture(name)
        try checkUpdates(fixture, fixture.stage(.lora(fixture.adapter.lora)), try #require(fixture.expected["lora_training"]))
    }

    @Test(arguments: ParityFixture.names) func twentyDenseUpdates(_ name: String) throws {
        let fixture = try ParityFixture(name)
        try checkUpdates(fixture, fixture.stage(.dense(frozen: [])), try #require(fixture.expected["dense_training"]))
    }

    private func checkUpdates(_ fixture: ParityFixture, _ stage: ModelStage, _ expected: JSONValue) throws {
        func number(_ key: String) throws -> Double { try #require(expected[key]?.doubleValue) }
        func numbers(_ key: String) throws -> [Double] { try #require(expected[key]?.arrayValue).map { try #require($0.doubleValue) } }
        let steps = Int(try number("steps")), betas = try numbers("betas")
        let schedule = LearningRateSchedule(
            kind: .cosine, peak: try number("learning_rate"), warmupSteps: Int(try number("warmup_steps")), steps: steps)
        let optimizer = AdamW(beta1: betas[0], beta2: betas[1], epsilon: try number("eps"), weightDecay: try number("weight_decay"))
        let losses = try numbers("losses_f64"), norms = try numbers("grad_norms_f64"), rates = try numbers("learning_rates")
        #expect(losses.count == steps)

        let count = stage.layout.count, targets = fixture.batches.reduce(0) { $0 + $1.targetCount }
        let buffers = (0..<3).map { _ in UnsafeMutablePointer<Float>.allocate(capacity: count) }
        defer { buffers.forEach { $0.deallocate() } }
        for buffer in buffers { buffer.update(repeating: 0, count: count) }
        stage.gradients = buffers[0]
        for step in 1...steps {
            buffers[0].update(repeating: 0, count: count)
            var loss = 0.0
            for batch in fixture.batches {
                try stage.load(batch, slot: 0)
                stage.forward(slot: 0, input: nil, output: nil)
                loss += stage.backward(slot: 0, outputGradient: nil, inputGradient: nil)
            }
            loss /= Double(targets)
            #expect(abs(loss - losses[step - 1]) / losses[step - 1] < Self.tolerance, "update \(step)")
            stage.combineTiedGradients()
            let norm = stage.layout.tensors.filter { $0.tiedTo == nil }
                .reduce(0.0) { sum, tensor in
                    sum + (0..<tensor.count).reduce(0.0) { $0 + Double(buffers[0][tensor.offset + $1]) * Double(buffers[0][tensor.offset + $1]) }
                }.squareRoot() / Double(targets)
            #expect(abs(norm - norms[step - 1]) / norms[step - 1] < 1e-3, "update \(step)")
            let rate = schedule.rate(update: step)
            #expect(abs(rate - rates[step - 1]) < 1e-12)
            let scale = clippingFactor(norm: norm, maximum: try number("clip_norm")) / Double(targets)
            optimizer.update(
                stage.threadPool, parameters: stage.parameters, firstMoments: buffers[1], secondMoments: buffers[2], gradients: buffers[0],
                count: count, step: step, learningRate: rate, gradientScale: Float(scale))
        }
    }
}
