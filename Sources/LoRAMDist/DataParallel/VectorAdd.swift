/// target[i] += source[i], each element rounded once; the regions do not overlap. Elements are independent, so that the compiler's
/// vector width does not change a bit.
@inline(never)
func addElements(_ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, count: Int) {
    var index = 0
    while index &+ 8 <= count {
        let left = UnsafeRawPointer(target + index).loadUnaligned(as: SIMD8<Float>.self)
        let right = UnsafeRawPointer(source + index).loadUnaligned(as: SIMD8<Float>.self)
        UnsafeMutableRawPointer(target + index).storeBytes(of: left + right, as: SIMD8<Float>.self)
        index &+= 8
    }
    while index < count {
        target[index] += source[index]
        index &+= 1
    }
}
