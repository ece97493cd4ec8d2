import LoRAMEngine
import Testing

@Suite struct JSONSerializeTests {
    private let sample: JSONValue = [
        "z": 1, "a": [true, nil, 1.5, "q\"\\\n\u{1}/ü😀"], "nested": ["empty": [:], "list": []], "small": 1e-5, "big": 1e22,
        "min": -9_223_372_036_854_775_808, "whole": 2.0,
    ]

    @Test func writesCompactTextInTheGivenOrder() {
        #expect(
            sample.serialized()
                == #"{"z":1,"a":[true,null,1.5,"q\"\\\n\u0001/ü😀"],"nested":{"empty":{},"list":[]},"small":1e-05,"big":1e+22,"min":-9223372036854775808,"whole":2.0}"#)
    }

    @Test func writesPrettyText() {
        let value: JSONValue = ["a": [1, ["b": nil]], "c": [:]]
        #expect(value.serialized(pretty: true) == "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": {}\n}")
    }

    @Test func readsBackWhatItWrote() throws {
        for pretty in [false, true] {
            #expect(try JSONValue.parse(sample.serialized(pretty: pretty)) == sample)
        }
    }

    @Test func writesNonFiniteNumbersAsNull() {
        #expect(JSONValue.array([.double(.nan), .double(.infinity), .double(-.infinity)]).serialized() == "[null,null,null]")
    }

    @Test func doublesSurviveBitForBit() throws {
        var random = SequentialRandom(CounterRandom(seed: 1, name: "doubles"))
        for _ in 0..<2000 {
            let number = Double(bitPattern: random.next())
            guard number.isFinite else { continue }
            let back = try JSONValue.parse(JSONValue.double(number).serialized())
            #expect(back.doubleValue?.bitPattern == number.bitPattern)
        }
    }
}
