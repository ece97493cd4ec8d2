extension ModelStage {
    /// Gives LoRA's factors their starting values: A uniform in +-1/sqrt(in) (Kaiming-uniform with a = sqrt 5, as PEFT does), B zero.
    ///
    /// A value depends on (seed, tensor name, index in the tensor) alone, so every grid starts from the same adapter.
    public func initializeLoRA(seed: UInt64) {
        for tensor in layout.tensors where tensor.name.hasSuffix(".lora_A.weight") {
            let bound = 1 / Double(tensor.shape[1]).squareRoot()
            CounterRandom(seed: seed, name: tensor.name).fillUniform(parameters + tensor.offset, count: tensor.count, low: -bound, high: bound)
        }
        for tensor in layout.tensors where tensor.name.hasSuffix(".lora_B.weight") {
            (parameters + tensor.offset).update(repeating: 0, count: tensor.count)
        }
    }
}
