extension NF4Tensor {
    /// Suffixes of the tensors that belong to a quantized `X.weight`.
    enum Part: String, CaseIterable {
        case absmax = ".absmax"
        case map = ".quant_map"
        case nestedAbsmax = ".nested_absmax"
        case nestedMap = ".nested_quant_map"
        case state = ".quant_state.bitsandbytes__nf4"
    }

    /// Gathers the tensors of one quantized weight, which may lie in several files, and checks each against the shape.
    ///
    /// - Parameters:
    ///   - weight: the codes.
    ///   - shape: of the weight, as the caller expects it; nil takes it from the state.
    ///   - part: finds the tensor of a suffix; nil if there is none.
    /// - Throws: `QuantizationError`, `CheckpointError.wrongShape`; errors of `part`.
    init(weight: TensorView, shape expectedShape: [Int]?, part: (String) throws -> TensorView?) throws {
        let name = weight.name
        func view(_ kind: Part) throws -> TensorView {
            guard let view = try part(name + kind.rawValue) else {
                throw QuantizationError.missingPart(path: weight.origin, tensor: name, part: name + kind.rawValue)
            }
            return view
        }
        func pointer(_ view: TensorView, _ dtype: DType, count: Int) throws -> UnsafeRawPointer {
            guard view.dtype == dtype, view.info.elementCount == count, let base = view.bytes.baseAddress else {
                throw QuantizationError.wrongPart(
                    path: view.origin, tensor: view.name, expected: "\(count) elements of \(dtype.rawValue)",
                    found: "\(view.dtype.rawValue) \(view.shape)")
            }
            return base
        }

        let stateView = try view(.state)
        guard stateView.dtype == .u8 else {
            throw QuantizationError.wrongPart(path: stateView.origin, tensor: stateView.name, expected: "U8", found: stateView.dtype.rawValue)
        }
        let state = try stateView.withBytes { try NF4State($0, tensor: name, path: stateView.origin) }
        if let expectedShape, state.shape != expectedShape {
            throw CheckpointError.wrongShape(path: stateView.origin, tensor: name, expected: expectedShape, found: state.shape)
        }
        guard TensorInfo.checkedByteCount(state.shape, .f64) != nil else {
            throw SafetensorsError.shapeTooLarge(path: stateView.origin, tensor: name, shape: state.shape)
        }
        let count = state.shape.reduce(1, *), blocks = NF4Layout.blockCount(count)

        // The codes may stand as elements of a wider type (bnb_4bit_quant_storage): the bytes are the same.
        let codeByteCount = NF4Layout.codeByteCount(count)
        guard [.u8, .f16, .bf16, .f32].contains(weight.dtype), weight.bytes.count == codeByteCount, let codes = weight.bytes.baseAddress else {
            throw QuantizationError.wrongPart(
                path: weight.origin, tensor: name, expected: "\(codeByteCount) bytes of NF4 codes for shape \(state.shape)",
                found: "\(weight.dtype.rawValue) \(weight.shape)")
        }
        try Self.requireStandardMap(try view(.map))

        let absmax = try view(.absmax)
        var views = [weight, absmax]
        let scales: Scales
        if let offset = state.nestedOffset {
            let nestedAbsmax = try view(.nestedAbsmax), nestedMap = try view(.nestedMap)
            views += [nestedAbsmax, nestedMap]
            scales = Scales(
                absmax: try pointer(absmax, .u8, count: blocks),
                nestedAbsmax: try pointer(nestedAbsmax, .f32, count: NF4Layout.nestedBlockCount(count)),
                nestedMap: try pointer(nestedMap, .f32, count: NF4Kernels.dynamicMap.count), nestedOffset: offset)
        } else {
            scales = Scales(absmax: try pointer(absmax, .f32, count: blocks), nestedAbsmax: nil, nestedMap: nil, nestedOffset: 0)
        }
        self.init(
            name: name, shape: state.shape, dtype: state.dtype, codes: codes, scales: scales, origin: weight.origin,
            owners: views.map { ViewOwner($0) })
    }

    /// The kernels have the values built in.
    private static func requireStandardMap(_ view: TensorView) throws {
        let expected = NF4Kernels.codes
        guard view.dtype == .f32, view.info.elementCount == expected.count else {
            throw QuantizationError.wrongPart(
                path: view.origin, tensor: view.name, expected: "\(expected.count) elements of F32", found: "\(view.dtype.rawValue) \(view.shape)")
        }
        var found = [Float](repeating: 0, count: expected.count)
        try found.withUnsafeMutableBufferPointer { try view.copyFloats(into: $0.baseAddress!) }
        for index in expected.indices where found[index] != expected[index] {
            throw QuantizationError.foreignMap(
                path: view.origin, tensor: view.name, index: index, expected: expected[index], found: found[index])
        }
    }
}

/// Keeps a view, and with it the file, alive.
private final class ViewOwner {
    private let view: TensorView

    init(_ view: TensorView) {
        self.view = view
    }
}
