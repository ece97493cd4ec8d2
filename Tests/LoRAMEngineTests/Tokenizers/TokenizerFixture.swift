import Foundation
import LoRAMEngine
import TestSupport

/// Fixtures of the tokenizer and data tests (Tests/fixtures-src).
enum DataFixture {
    static func path(_ name: String) -> String {
        Bundle.module.resourceURL!.appendingPathComponent("Fixtures/data/\(name)").path
    }

    static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: path(name))))
    }

    static func json(_ name: String) throws -> JSONValue {
        try JSONValue.parse(bytes(name))
    }

    static func tokenizer(_ name: String) throws -> any Tokenizer {
        try TokenizerLoader.load(path: path("\(name).model"))
    }
}

extension JSONValue {
    var ids: [Int32] { arrayValue!.map { Int32($0.intValue!) } }
}

/// Texts as tokenizer_vectors.py makes them.
func randomText(_ generator: inout LinearCongruentialGenerator) -> String {
    let kind = generator.below(5)
    let count = generator.below(41)
    var text = String.UnicodeScalarView()
    for _ in 0..<count {
        var scalar: Int
        switch kind {
        case 0: scalar = generator.below(0x80)
        case 1: scalar = [0x20, 0x20, 0x2581, 0x61, 0x65, 0x0a, 0x74, 0x68, 0x3c, 0x73, 0x3e][generator.below(11)]
        case 2: scalar = 0x20 + generator.below(0x230)
        case 3:
            scalar = generator.below(0x110000)
            if (0xd800..<0xe000).contains(scalar) { scalar = 0x20 }
        default:
            // In the script's order of evaluation: the choices are made before one of them is taken.
            let han = 0x4e00 + generator.below(500)
            let emoji = 0x1f600 + generator.below(60)
            scalar = [0x3042, han, emoji, 0x200d, 0xfe0f, 0x20, 0x2581, 0xe9][generator.below(8)]
        }
        text.append(Unicode.Scalar(UInt32(scalar))!)
    }
    return String(text)
}

/// 64-bit FNV-1a over ids as little-endian words; 0xFFFFFFFF closes a text.
struct IDHash {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func append(_ ids: [Int32]) {
        for id in ids { append(UInt32(bitPattern: id)) }
        append(.max)
    }

    private mutating func append(_ word: UInt32) {
        for shift in [0, 8, 16, 24] as [UInt32] { value = (value ^ UInt64(word >> shift & 0xff)) &* 0x100_0000_01b3 }
    }

    var hex: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
