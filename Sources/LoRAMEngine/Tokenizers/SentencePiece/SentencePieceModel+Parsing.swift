extension SentencePieceModel {
    /// Reads and checks a model file.
    ///
    /// - Parameter path: only named in errors.
    /// - Throws: `TokenizerError`: `malformed` for broken bytes, `inconsistent` for contradictory contents, `unsupported` for other
    ///   model types and for normalizers that rewrite characters.
    init(parsing file: [UInt8], path: String) throws(TokenizerError) {
        self.init()
        let failure: ProtobufReader.Failure? = file.withUnsafeBufferPointer { bytes in
            do throws(ProtobufReader.Failure) {
                try parse(bytes)
                return nil
            } catch {
                return error
            }
        }
        if let failure {
            throw .malformed(path: path, offset: failure.offset, expected: failure.expected, found: failure.found)
        }
        try checkSupport(path: path)
        try checkPieces(path: path)
    }

    /// ModelProto: 1 pieces, 2 trainer_spec, 3 normalizer_spec, 5 denormalizer_spec.
    private mutating func parse(_ file: UnsafeBufferPointer<UInt8>) throws(ProtobufReader.Failure) {
        var reader = ProtobufReader(file, range: 0..<file.count)
        while let field = try reader.next() {
            switch field.number {
            case 1: try parsePiece(file, field.range())
            case 2: try parseTrainer(file, field.range())
            case 3: try parseNormalizer(file, field.range())
            case 5:
                var inner = ProtobufReader(file, range: try field.range())
                while let field = try inner.next() {
                    if field.number == 2 { settings.hasDenormalizerMap = try !field.range().isEmpty }
                }
            default: break
            }
        }
    }

    /// SentencePiece: 1 piece, 2 score, 3 type.
    private mutating func parsePiece(_ file: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) throws(ProtobufReader.Failure) {
        var reader = ProtobufReader(file, range: range)
        var piece: Range<Int> = range.lowerBound..<range.lowerBound
        var score: Float = 0
        var kind = PieceKind.normal
        while let field = try reader.next() {
            switch field.number {
            case 1: piece = try field.range()
            case 2:
                guard case .fixed32(let bits) = field.value else { throw field.mismatch("a 32-bit score") }
                score = Float(bitPattern: bits)
                guard score.isFinite else { throw field.failure("a finite score", "\(score)") }
            case 3:
                let number = try field.integer()
                guard let known = PieceKind(rawValue: UInt8(clamping: number)) else {
                    throw field.failure("a piece type from 1 to 6", "\(number)")
                }
                kind = known
            default: break
            }
        }
        let bytes = UnsafeBufferPointer(rebasing: file[piece])
        guard !bytes.isEmpty, String(validating: bytes, as: UTF8.self) != nil else {
            throw ProtobufReader.Failure(
                offset: range.lowerBound, expected: "a piece of UTF-8 text",
                found: bytes.isEmpty ? "an empty one" : "other bytes")
        }
        text.append(contentsOf: bytes)
        // The loader refuses files beyond 2^28 bytes, and pieces never overlap: the sum fits.
        starts.append(Int32(text.count))
        scores.append(score)
        kinds.append(kind)
    }

    /// TrainerSpec: 3 model_type, 24 treat_whitespace_as_suffix, 35 byte_fallback, 44 unk_surface, 46 bos_piece, 47 eos_piece.
    private mutating func parseTrainer(_ file: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) throws(ProtobufReader.Failure) {
        var reader = ProtobufReader(file, range: range)
        while let field = try reader.next() {
            switch field.number {
            case 3: settings.modelType = try field.integer()
            case 24: settings.treatsWhitespaceAsSuffix = try field.integer() != 0
            case 35: settings.hasByteFallback = try field.integer() != 0
            case 44: settings.unknownSurface = try Array(file[field.range()])
            // An empty name stands for the default.
            case 46: if try !field.range().isEmpty { settings.bosPiece = try Array(file[field.range()]) }
            case 47: if try !field.range().isEmpty { settings.eosPiece = try Array(file[field.range()]) }
            default: break
            }
        }
    }

    /// NormalizerSpec: 2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces, 5 escape_whitespaces.
    private mutating func parseNormalizer(_ file: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) throws(ProtobufReader.Failure) {
        var reader = ProtobufReader(file, range: range)
        while let field = try reader.next() {
            switch field.number {
            case 2: settings.hasCharacterMap = try !field.range().isEmpty
            case 3: settings.addsDummyPrefix = try field.integer() != 0
            case 4: settings.removesExtraWhitespace = try field.integer() != 0
            case 5: settings.escapesWhitespace = try field.integer() != 0
            default: break
            }
        }
    }

    private func checkSupport(path: String) throws(TokenizerError) {
        guard settings.modelType == 2 else {
            let names: [UInt64: String] = [1: "unigram", 3: "word", 4: "char"]
            let found = names[settings.modelType] ?? "unknown (\(settings.modelType))"
            throw .unsupported(path: path, expected: "a SentencePiece model of type BPE", found: "type \(found)")
        }
        func refuse(_ setting: Bool, _ name: String) throws(TokenizerError) {
            if setting { throw .unsupported(path: path, expected: "a SentencePiece model without \(name)", found: "one with it") }
        }
        try refuse(settings.hasCharacterMap, "a character normalization map (normalization rule other than identity)")
        try refuse(settings.hasDenormalizerMap, "a denormalization map")
        try refuse(settings.treatsWhitespaceAsSuffix, "treat_whitespace_as_suffix")
    }

    private mutating func checkPieces(path: String) throws(TokenizerError) {
        var unknown: Int32?
        var ids = [Int32](repeating: -1, count: 256)
        // Reserved and ordinary pieces are two name spaces, as in the reference implementation.
        var seen: [Bool: Set<ArraySlice<UInt8>>] = [:]
        for piece in kinds.indices {
            let bytes = bytes(of: piece)
            guard seen[isOrdinary(piece), default: []].insert(bytes).inserted else {
                let text = String(decoding: bytes, as: UTF8.self).debugDescription
                throw .inconsistent(path: path, expected: "every piece once", found: "\(text) again as piece \(piece)")
            }
            switch kinds[piece] {
            case .unknown:
                guard unknown == nil else {
                    throw .inconsistent(path: path, expected: "one unknown piece", found: "a second one, piece \(piece)")
                }
                unknown = Int32(piece)
            case .byte:
                guard settings.hasByteFallback, let byte = Self.byteValue(ofPiece: bytes) else {
                    let text = String(decoding: bytes, as: UTF8.self).debugDescription
                    throw .inconsistent(
                        path: path, expected: settings.hasByteFallback ? "byte pieces <0x00> ... <0xFF>" : "no byte pieces",
                        found: "\(text) as piece \(piece)")
                }
                ids[Int(byte)] = Int32(piece)
            case .normal, .control, .userDefined, .unused: break
            }
        }
        guard let unknown else { throw .inconsistent(path: path, expected: "one unknown piece", found: "none") }
        unknownID = unknown
        if settings.hasByteFallback {
            guard !ids.contains(-1) else {
                throw .inconsistent(
                    path: path, expected: "256 byte pieces, as byte_fallback says", found: "\(ids.count { $0 >= 0 })")
            }
            byteIDs = ids
        }
    }

    /// The value of a piece spelt `<0x0A>`, with capital hexadecimal digits.
    private static func byteValue(ofPiece piece: ArraySlice<UInt8>) -> UInt8? {
        guard piece.count == 6, piece.starts(with: Array("<0x".utf8)), piece.last == UInt8(ascii: ">") else { return nil }
        var value: UInt8 = 0
        for byte in piece.dropFirst(3).prefix(2) {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | (byte - UInt8(ascii: "0"))
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | (byte - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return value
    }
}

extension ProtobufReader.Field {
    fileprivate func failure(_ expected: String, _ found: String) -> ProtobufReader.Failure {
        ProtobufReader.Failure(offset: offset, expected: expected, found: found)
    }

    fileprivate func mismatch(_ expected: String) -> ProtobufReader.Failure {
        failure("\(expected) in field \(number)", value.name)
    }

    fileprivate func range() throws(ProtobufReader.Failure) -> Range<Int> {
        guard case .bytes(let range) = value else { throw mismatch("a length-delimited value") }
        return range
    }

    fileprivate func integer() throws(ProtobufReader.Failure) -> UInt64 {
        guard case .varint(let number) = value else { throw mismatch("a varint") }
        return number
    }
}
