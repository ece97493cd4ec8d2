/// The model part of one rank, as the executor sees it. Pointers are f32 values that cross a stage boundary, [tokens, hidden].
///
/// `slot` numbers the activation stash: F fills it, R and B of the same micro-batch get the same slot, then another micro-batch
/// has it. Micro-batches are counted within the step of one replica.
public protocol PipelineStage: AnyObject {
    /// Floats of the micro-batch at a stage boundary (tokens x hidden size), the same on all stages.
    func boundaryCount(microBatch: Int) -> Int

    /// `input`: nil on the first stage, readable during the call only. `output`: nil on the last stage, to be filled.
    func forward(microBatch: Int, slot: Int, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?) throws

    /// Repeats the forward pass from what the slot kept, so that `backward` need not. At most one micro-batch is ahead at a time.
    func recompute(microBatch: Int, slot: Int) throws

    /// `outputGradient`: nil on the last stage, readable during the call only. `inputGradient`: nil on the first stage, to be
    /// filled. Gradients of weights are added to the stage's own accumulator.
    /// `weightSlot`: not nil where the gradients of the layers' weights are left to `weightGradients`; numbers what is kept for it.
    func backward(
        microBatch: Int, slot: Int, weightSlot: Int?, outputGradient: UnsafePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>?) throws

    /// Adds the gradients of weights that `backward` left, in the order of micro-batches.
    func weightGradients(microBatch: Int, weightSlot: Int) throws
}
