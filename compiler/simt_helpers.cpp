#include "compiler/simt_helpers.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace flagos::compiler {
namespace {

// A function of types: $T is the type that its name ends with, $U the unsigned integer of the same size.
struct Template {
  std::string_view name, types, text;
};

constexpr Template kTemplates[] = {
    // Integers. x / 0 is 0, x rem 0 is x, and the lowest number divided by -1 wraps.
    {"fl_div", "i32 i64", R"(
FN $T fl_div_$T($T a, $T b) {
  if (b == to_$T(0)) return to_$T(0);
  if (b == to_$T(-1)) return to_$T(to_$U(0) - to_$U(a));
  return a / b;
}
)"},
    {"fl_div", "u32 u64", R"(
FN $T fl_div_$T($T a, $T b) { return b == to_$T(0) ? to_$T(0) : a / b; }
)"},
    {"fl_rem", "i32 i64", R"(
FN $T fl_rem_$T($T a, $T b) {
  if (b == to_$T(0)) return a;
  return to_$T(to_$U(a) - to_$U(fl_div_$T(a, b)) * to_$U(b));
}
)"},
    {"fl_rem", "u32 u64", R"(
FN $T fl_rem_$T($T a, $T b) { return b == to_$T(0) ? a : a % b; }
)"},
    {"fl_floor_div", "i32 i64", R"(
FN $T fl_floor_div_$T($T a, $T b) {
  $T q = fl_div_$T(a, b);
  $T r = to_$T(to_$U(a) - to_$U(q) * to_$U(b));
  bool down = b != to_$T(0) && r != to_$T(0) && (a < to_$T(0)) != (b < to_$T(0));
  return down ? q - to_$T(1) : q;
}
)"},
    {"fl_floor_rem", "i32 i64", R"(
FN $T fl_floor_rem_$T($T a, $T b) {
  $T r = fl_rem_$T(a, b);
  return b != to_$T(0) && r != to_$T(0) && (r < to_$T(0)) != (b < to_$T(0)) ? r + b : r;
}
)"},
    {"fl_mulhi", "u32", R"(
FN u32 fl_mulhi_u32(u32 a, u32 b) { return to_u32((to_u64(a) * to_u64(b)) >> 32); }
)"},
    {"fl_mulhi", "i32", R"(
FN i32 fl_mulhi_i32(i32 a, i32 b) { return to_i32((to_i64(a) * to_i64(b)) >> 32); }
)"},
    {"fl_mulhi", "u64", R"(
FN u64 fl_mulhi_u64(u64 a, u64 b) {
  u64 m = to_u64(0xffffffffu);
  u64 low = (a & m) * (b & m), one = (a >> 32) * (b & m), two = (a & m) * (b >> 32);
  u64 middle = (low >> 32) + (one & m) + (two & m);
  return (a >> 32) * (b >> 32) + (one >> 32) + (two >> 32) + (middle >> 32);
}
)"},
    {"fl_mulhi", "i64", R"(
FN i64 fl_mulhi_i64(i64 a, i64 b) {
  u64 high = fl_mulhi_u64(to_u64(a), to_u64(b));
  if (a < to_i64(0)) high = high - to_u64(b);
  if (b < to_i64(0)) high = high - to_u64(a);
  return to_i64(high);
}
)"},
    // Floating point: NaN by its bits, so that no compiler's view of it matters.
    {"fl_isnan", "f32", R"(
FN bool fl_isnan_f32(f32 x) { return (bits_f32(x) & 0x7fffffffu) > 0x7f800000u; }
)"},
    {"fl_isnan", "f64", R"(
FN bool fl_isnan_f64(f64 x) { return (bits_f64(x) << 1) > U64(0xffe00000u, 0u); }
)"},
    {"fl_isinf", "f32", R"(
FN bool fl_isinf_f32(f32 x) { return (bits_f32(x) & 0x7fffffffu) == 0x7f800000u; }
)"},
    {"fl_isinf", "f64", R"(
FN bool fl_isinf_f64(f64 x) { return (bits_f64(x) << 1) == U64(0xffe00000u, 0u); }
)"},
    {"fl_signbit", "f32", R"(
FN bool fl_signbit_f32(f32 x) { return (bits_f32(x) >> 31) != 0u; }
)"},
    {"fl_signbit", "f64", R"(
FN bool fl_signbit_f64(f64 x) { return (bits_f64(x) >> 63) != to_u64(0); }
)"},
    {"fl_abs", "f32", R"(
FN f32 fl_abs_f32(f32 x) { return f32_bits(bits_f32(x) & 0x7fffffffu); }
)"},
    {"fl_abs", "f64", R"(
FN f64 fl_abs_f64(f64 x) { return f64_bits((bits_f64(x) << 1) >> 1); }
)"},
    {"fl_neg", "f32", R"(
FN f32 fl_neg_f32(f32 x) { return f32_bits(bits_f32(x) ^ 0x80000000u); }
)"},
    {"fl_neg", "f64", R"(
FN f64 fl_neg_f64(f64 x) { return f64_bits(bits_f64(x) ^ U64(0x80000000u, 0u)); }
)"},
    {"fl_min", "f32 f64", R"(
FN $T fl_min_$T($T a, $T b) {
  if (fl_isnan_$T(a)) return a;
  if (fl_isnan_$T(b)) return b;
  if (a == b) return fl_signbit_$T(a) ? a : b;
  return a < b ? a : b;
}
)"},
    {"fl_max", "f32 f64", R"(
FN $T fl_max_$T($T a, $T b) {
  if (fl_isnan_$T(a)) return a;
  if (fl_isnan_$T(b)) return b;
  if (a == b) return fl_signbit_$T(a) ? b : a;
  return a > b ? a : b;
}
)"},
    {"fl_min_ignore", "f32 f64", R"(
FN $T fl_min_ignore_$T($T a, $T b) {
  if (fl_isnan_$T(a)) return b;
  return fl_isnan_$T(b) ? a : fl_min_$T(a, b);
}
)"},
    {"fl_max_ignore", "f32 f64", R"(
FN $T fl_max_ignore_$T($T a, $T b) {
  if (fl_isnan_$T(a)) return b;
  return fl_isnan_$T(b) ? a : fl_max_$T(a, b);
}
)"},
    // What floored division leaves, of what truncated division leaves.
    {"fl_floored", "f32 f64", R"(
FN $T fl_floored_$T($T rest, $T b) {
  if (fl_isnan_$T(rest)) return rest;
  if (rest == to_$T(0)) return fl_signbit_$T(b) ? fl_neg_$T(to_$T(0)) : to_$T(0);
  return fl_signbit_$T(rest) != fl_signbit_$T(b) ? rest + b : rest;
}
)"},
    // The order of sort and argreduce: NaN is above everything.
    {"fl_less", "f32 f64", R"(
FN bool fl_less_$T($T a, $T b) { return fl_isnan_$T(b) ? !fl_isnan_$T(a) : a < b; }
)"},
    // Held within the type, NaN gives 0. `limit` is the first number that is too large.
    {"fl_to_i32", "f32 f64", R"(
FN i32 fl_to_i32_$T($T x, $T limit, i32 low, i32 high) {
  if (fl_isnan_$T(x)) return 0;
  if (x >= limit) return high;
  return x <= -limit ? low : to_i32(x);
}
)"},
    {"fl_to_i64", "f32 f64", R"(
FN i64 fl_to_i64_$T($T x, $T limit, i64 low, i64 high) {
  if (fl_isnan_$T(x)) return to_i64(0);
  if (x >= limit) return high;
  return x <= -limit ? low : to_i64(x);
}
)"},
    {"fl_to_u32", "f32 f64", R"(
FN u32 fl_to_u32_$T($T x, $T limit, u32 high) {
  if (x >= limit) return high;
  return x > to_$T(0) ? to_u32(x) : 0u;
}
)"},
    {"fl_to_u64", "f32 f64", R"(
FN u64 fl_to_u64_$T($T x, $T limit, u64 high) {
  if (x >= limit) return high;
  return x > to_$T(0) ? to_u64(x) : to_u64(0);
}
)"},
    // Narrow formats, as bits.
    {"fl_load", "bf16", R"(
FN f32 fl_load_bf16(u32 x) { return f32_bits(x << 16); }
)"},
    {"fl_load", "f16", R"(
FN f32 fl_load_f16(u32 x) {
  u32 sign = (x & 0x8000u) << 16, rest = x & 0x7fffu;
  if (rest < 0x400u) return f32_bits(sign | bits_f32(to_f32(rest) * 5.9604644775390625e-8f));
  if (rest < 0x7c00u) return f32_bits(sign | ((rest + 0x1c000u) << 13));
  return f32_bits(sign | 0x7f800000u | (rest << 13));
}
)"},
    {"fl_load", "f8e5m2", R"(
FN f32 fl_load_f8e5m2(u32 x) { return fl_load_f16(x << 8); }
)"},
    {"fl_load", "f8e4m3", R"(
FN f32 fl_load_f8e4m3(u32 x) {
  u32 sign = (x & 0x80u) << 24, rest = x & 0x7fu;
  if (rest == 0x7fu) return f32_bits(sign | 0x7fc00000u);
  if (rest < 8u) return f32_bits(sign | bits_f32(to_f32(rest) * 0.001953125f));
  return f32_bits(sign | ((rest + 0x3c0u) << 20));
}
)"},
    {"fl_store", "bf16", R"(
FN u32 fl_store_bf16(f32 x) {
  u32 bits = bits_f32(x);
  if (fl_isnan_f32(x)) return (bits >> 16 & 0x8000u) | 0x7fc0u;
  return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}
)"},
    {"fl_store", "f16", R"(
FN u32 fl_store_f16(f32 x) {
  u32 bits = bits_f32(x), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return sign | 0x7e00u;
  if (rest >= 0x477ff000u) return sign | 0x7c00u;
  if (rest >= 0x38800000u) return sign | ((rest - 0x38000000u + 0xfffu + (rest >> 13 & 1u)) >> 13);
  if (rest < 0x33000000u) return sign;
  u32 shift = 126u - (rest >> 23), m = (rest & 0x7fffffu) | 0x800000u;
  u32 count = m >> shift, left = m - (count << shift), tie = 1u << (shift - 1u);
  if (left > tie || (left == tie && (count & 1u) != 0u)) count = count + 1u;
  return sign | count;
}
)"},
    {"fl_store", "f8e5m2", R"(
FN u32 fl_store_f8e5m2(f32 x) { return fl_narrow_f32(x, 5, 2, true, false, false); }
)"},
    {"fl_store", "f8e4m3", R"(
FN u32 fl_store_f8e4m3(f32 x) { return fl_narrow_f32(x, 4, 3, false, false, false); }
)"},
    // m times two to e, which is not 0, rounded once to a format of `ebits` and `mbits`; at most 32 bits.
    {"fl_pack", "u64", R"(
FN u32 fl_pack_u64(u32 sign, u64 m, i32 e, i32 ebits, i32 mbits, bool inf, bool chop, bool saturate) {
  i32 top = e + 63;
  for (u64 n = m; (n >> 63) == to_u64(0); n = n << 1) top = top - 1;
  u32 largest = (((1u << to_u32(ebits)) - 1u) << to_u32(mbits)) | ((1u << to_u32(mbits)) - 1u);
  u32 infinity = inf ? largest - ((1u << to_u32(mbits)) - 1u) : largest;
  largest = infinity - 1u;
  i32 lowest = 2 - (1 << (ebits - 1));
  i32 quantum = (top > lowest ? top : lowest) - mbits;
  i32 shift = quantum - e;
  u64 count = to_u64(0);
  if (shift <= 0) {
    count = m << to_u32(-shift);
  } else if (shift < 64) {
    count = m >> to_u32(shift);
    u64 left = m - (count << to_u32(shift)), tie = to_u64(1) << to_u32(shift - 1);
    if (!chop && (left > tie || (left == tie && (count & to_u64(1)) != to_u64(0)))) count = count + to_u64(1);
  } else if (shift == 64 && !chop && m > U64(0x80000000u, 0u)) {
    count = to_u64(1);
  }
  u64 bits = (to_u64(quantum + mbits - lowest) << to_u32(mbits)) + count;
  if (bits > to_u64(largest)) return sign | (chop || saturate ? largest : infinity);
  return sign | to_u32(bits);
}
)"},
    {"fl_narrow", "f32", R"(
FN u32 fl_narrow_f32(f32 x, i32 ebits, i32 mbits, bool inf, bool chop, bool saturate) {
  u32 bits = bits_f32(x), rest = bits & 0x7fffffffu;
  u32 sign = (bits >> 31) << to_u32(ebits + mbits);
  u32 all = ((1u << to_u32(ebits)) - 1u) << to_u32(mbits), m = (1u << to_u32(mbits)) - 1u;
  if (rest > 0x7f800000u) return sign | (inf ? all | (1u << to_u32(mbits - 1)) : all | m);
  if (rest == 0x7f800000u) return sign | (saturate ? (inf ? all - 1u : (all | m) - 1u) : inf ? all : all | m);
  if (rest == 0u) return sign;
  i32 e = to_i32(rest >> 23);
  u64 n = to_u64(rest & 0x7fffffu);
  if (e != 0) n = n | to_u64(0x800000u);
  return fl_pack_u64(sign, n, (e == 0 ? 1 : e) - 150, ebits, mbits, inf, chop, saturate);
}
)"},
    {"fl_narrow", "f64", R"(
FN u32 fl_narrow_f64(f64 x, i32 ebits, i32 mbits, bool inf, bool chop, bool saturate) {
  u64 bits = bits_f64(x), rest = (bits << 1) >> 1, top = U64(0x7ff00000u, 0u);
  u32 sign = to_u32(bits >> 63) << to_u32(ebits + mbits);
  u32 all = ((1u << to_u32(ebits)) - 1u) << to_u32(mbits), m = (1u << to_u32(mbits)) - 1u;
  if (rest > top) return sign | (inf ? all | (1u << to_u32(mbits - 1)) : all | m);
  if (rest == top) return sign | (saturate ? (inf ? all - 1u : (all | m) - 1u) : inf ? all : all | m);
  if (rest == to_u64(0)) return sign;
  i32 e = to_i32(rest >> 52);
  u64 n = rest & U64(0xfffffu, 0xffffffffu);
  if (e != 0) n = n | U64(0x100000u, 0u);
  return fl_pack_u64(sign, n, (e == 0 ? 1 : e) - 1075, ebits, mbits, inf, chop, saturate);
}
)"},
    {"fl_narrow", "u64", R"(
FN u32 fl_narrow_u64(bool negative, u64 m, i32 ebits, i32 mbits, bool inf, bool chop, bool saturate) {
  if (m == to_u64(0)) return 0u;
  return fl_pack_u64((negative ? 1u : 0u) << to_u32(ebits + mbits), m, 0, ebits, mbits, inf, chop, saturate);
}
)"},
    // The upper 53 bits: what f64 holds.
    {"fl_chop", "u64", R"(
FN u64 fl_chop_u64(u64 m) {
  u32 spare = 0u;
  for (u64 n = m; (n >> 53) != to_u64(0); n = n >> 1) spare = spare + 1u;
  return (m >> spare) << spare;
}
)"},
    // The factor of dot_scaled: a power of two with a bias of 127.
    {"fl_scale", "f32", R"(
FN f32 fl_scale_f32(u32 x) {
  return f32_bits(x == 255u ? 0x7fc00000u : x == 0u ? 0x00400000u : x << 23);
}
)"},
#include "compiler/simt_math.inc"
#include "compiler/simt_math_f64.inc"
};

// Numbers of f64, which languages spell in different ways, as their bits.
void spell_numbers(std::string& text) {
  for (std::size_t at = 0; (at = text.find('@', at)) != std::string::npos;) {
    char* end = nullptr;
    const double number = std::strtod(text.c_str() + at + 1, &end);
    const auto bits = std::bit_cast<std::uint64_t>(number);
    text.replace(at, static_cast<std::size_t>(end - (text.c_str() + at)),
                 fmt::format("f64_bits(U64({:#x}u, {:#x}u))", bits >> 32, bits & 0xffffffff));
  }
}

const std::map<std::string, std::string>& helpers() {
  static const auto all = [] {
    std::map<std::string, std::string> made;
    for (const Template& from : kTemplates) {
      std::string_view types = from.types;
      while (!types.empty()) {
        const std::string_view type = types.substr(0, types.find(' '));
        types.remove_prefix(std::min(types.size(), type.size() + 1));
        std::string text(from.text.substr(1));
        const std::string unsigned_type = type.ends_with("64") ? "u64" : "u32";
        for (const auto& [mark, word] : {std::pair{"$T", std::string(type)}, std::pair{"$U", unsigned_type}})
          for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos;) text.replace(at, 2, word);
        spell_numbers(text);
        made.emplace(std::string(from.name) + "_" + std::string(type), text);
      }
    }
    return made;
  }();
  return all;
}

void print_one(const std::string& name, std::set<std::string>& done, std::string& out) {
  if (!done.insert(name).second) return;
  const auto found = helpers().find(name);
  if (found == helpers().end()) throw_error(FLAGOS_STATUS_INTERNAL, "there is no function '{}'", name);
  const std::string& text = found->second;
  for (std::size_t at = 0; (at = text.find("fl_", at)) != std::string::npos;) {
    const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", at);
    const std::string used = text.substr(at, end - at);
    if (used != name) print_one(used, done, out);
    at = end;
  }
  out += text;
}

}  // namespace

bool has_simt_helper(const std::string& name) { return helpers().count(name) != 0; }

std::string print_simt_helpers(const std::set<std::string>& names) {
  std::set<std::string> done;
  std::string out;
  for (const std::string& name : names) print_one(name, done, out);
  return out;
}

}  // namespace flagos::compiler
