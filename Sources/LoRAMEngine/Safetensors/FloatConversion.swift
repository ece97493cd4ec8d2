/// Element-wise conversions between the float types of files and Float.
///
/// Sources and 16-bit destinations may start at any byte. Every conversion to a narrower type rounds to nearest, ties to even,
/// and keeps NaN a NaN. The loops have neither branches nor overflow checks, so that they compile to vector code; results do not
/// depend on it. Values are little-endian, as in safetensors.
public enum FloatConversion {
    // MARK: To Float

    public static func floats(fromF32 source: UnsafeRawPointer, count: Int, into destination: UnsafeMutablePointer<Float>) {
        UnsafeMutableRawPointer(destination).copyMemory(from: source, byteCount: count * 4)
    }

    public static func floats(fromBF16 source: UnsafeRawPointer, count: Int, into destination: UnsafeMutablePointer<Float>) {
        var i = 0
        while i < count {
            let bits = source.loadUnaligned(fromByteOffset: i &* 2, as: UInt16.self)
            destination[i] = Float(bitPattern: UInt32(truncatingIfNeeded: bits) &<< 16)
            i &+= 1
        }
    }

    public static func floats(fromF16 source: UnsafeRawPointer, count: Int, into destination: UnsafeMutablePointer<Float>) {
        var i = 0
        while i < count {
            destination[i] = float(fromF16: source.loadUnaligned(fromByteOffset: i &* 2, as: UInt16.self))
            i &+= 1
        }
    }

    public static func floats(fromF64 source: UnsafeRawPointer, count: Int, into destination: UnsafeMutablePointer<Float>) {
        var i = 0
        while i < count {
            destination[i] = Float(source.loadUnaligned(fromByteOffset: i &* 8, as: Double.self))
            i &+= 1
        }
    }

    /// Exact. The exponent is moved from bias 15 to 127 by an integer addition; for a subnormal half the addition builds
    /// 2^-14 * (1 + m / 1024), from which 2^-14 is taken off again, all in normal floats.
    @inline(__always)
    public static func float(fromF16 half: UInt16) -> Float {
        let magnitude = UInt32(truncatingIfNeeded: half & 0x7fff) &<< 13
        let sign = UInt32(truncatingIfNeeded: half & 0x8000) &<< 16
        let exponent = magnitude & 0x0f80_0000
        let smallestNormal: UInt32 = 113 << 23
        let normal = magnitude &+ (112 << 23)
        let special = magnitude &+ (224 << 23)
        let subnormal = (Float(bitPattern: magnitude &+ smallestNormal) - Float(bitPattern: smallestNormal)).bitPattern
        let nonzero = exponent == 0x0f80_0000 ? special : normal
        return Float(bitPattern: (exponent == 0 ? subnormal : nonzero) | sign)
    }

    // MARK: From Float

    public static func bf16(from source: UnsafePointer<Float>, count: Int, into destination: UnsafeMutableRawPointer) {
        var i = 0
        while i < count {
            destination.storeBytes(of: bf16(source[i]), toByteOffset: i &* 2, as: UInt16.self)
            i &+= 1
        }
    }

    public static func f16(from source: UnsafePointer<Float>, count: Int, into destination: UnsafeMutableRawPointer) {
        var i = 0
        while i < count {
            destination.storeBytes(of: f16(source[i]), toByteOffset: i &* 2, as: UInt16.self)
            i &+= 1
        }
    }

    @inline(__always)
    public static func bf16(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        let rounded = (bits &+ 0x7fff &+ ((bits &>> 16) & 1)) &>> 16
        // The addition could carry a NaN's payload into infinity: it is made quiet instead.
        let quiet = (bits &>> 16) | 0x40
        return UInt16(truncatingIfNeeded: bits & 0x7fff_ffff > 0x7f80_0000 ? quiet : rounded)
    }

    /// Below 2^-14 the value is added to a float whose unit in the last place is the smallest subnormal half, 2^-24, so that the
    /// addition itself rounds; from 65520 on the result is infinite.
    @inline(__always)
    public static func f16(_ value: Float) -> UInt16 {
        let sign = value.bitPattern & 0x8000_0000
        let magnitude = value.bitPattern & 0x7fff_ffff
        let anchor: UInt32 = 126 << 23
        let subnormal = (Float(bitPattern: magnitude) + Float(bitPattern: anchor)).bitPattern &- anchor
        let isOdd = (magnitude &>> 13) & 1
        let normal = (magnitude &- (112 << 23) &+ 0xfff &+ isOdd) &>> 13
        let special: UInt32 = magnitude > 0x7f80_0000 ? 0x7e00 : 0x7c00
        let finite = magnitude < 113 << 23 ? subnormal : normal
        return UInt16(truncatingIfNeeded: (magnitude >= 143 << 23 ? special : finite) | (sign &>> 16))
    }

    // MARK: Checks

    /// The index of the first NaN or infinity; nil if all values are finite.
    public static func firstNonFinite(_ values: UnsafePointer<Float>, count: Int) -> Int? {
        var largest: UInt32 = 0
        var i = 0
        while i < count {
            largest = max(largest, values[i].bitPattern & 0x7fff_ffff)
            i &+= 1
        }
        guard largest >= 0x7f80_0000 else { return nil }
        return (0..<count).first { !values[$0].isFinite }
    }
}
