#include "compiler/opencl_lanes.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "base/error.hpp"

namespace flagos::compiler::opencl_lanes {
namespace {

// `lanes`: "v" vectors, "1" a scalar, "" both. `classes` of the first type: f f32 and f64, s f16 and f8, B bf16, b i1,
// i and u integers; 4 and 8 bytes that are computed in the element's own type; "" is every type.
struct Row {
  std::string_view name, lanes, classes, text;
};

constexpr Row kRows[] = {
#include "compiler/opencl_lanes.inc"
};

struct Instance {
  std::string base, word;  // word: what an update does, what is called for each lane
  char space = 'p';
  DType first = DType::i32, second = DType::i32;
  int lanes = 1;
};

std::string_view native(DType dtype) {
  switch (dtype) {
    case DType::i8:
      return "char";
    case DType::i16:
      return "short";
    case DType::i32:
      return "int";
    case DType::i64:
      return "long";
    case DType::u8:
      return "uchar";
    case DType::u16:
      return "ushort";
    case DType::u32:
      return "uint";
    case DType::u64:
      return "ulong";
    case DType::f64:
      return "double";
    default:
      return dtype == DType::i1 ? "int" : "float";
  }
}

// An integer of so many bytes.
std::string_view integer_of(int bytes, bool with_sign) {
  switch (bytes) {
    case 1:
      return native(with_sign ? DType::i8 : DType::u8);
    case 2:
      return native(with_sign ? DType::i16 : DType::u16);
    case 4:
      return native(with_sign ? DType::i32 : DType::u32);
    default:
      return native(with_sign ? DType::i64 : DType::u64);
  }
}

int lane_bytes(DType dtype) { return dtype == DType::i1 || is_narrow(dtype) ? 4 : info(dtype).bytes; }

bool is_of(DType dtype, std::string_view classes) {
  if (classes.empty()) return true;
  const auto has = [&](char c) { return classes.find(c) != std::string_view::npos; };
  if (is_narrow(dtype)) return has(dtype == DType::bf16 ? 'B' : 's');
  if (has(info(dtype).bytes == 4 ? '4' : '8') && info(dtype).bytes >= 4) return true;
  if (is_float(dtype)) return has('f');
  if (dtype == DType::i1) return has('b');
  return has(is_signed(dtype) ? 'i' : 'u');
}

std::optional<Instance> parse(std::string_view name) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('_', at), name.size());
    parts.push_back(name.substr(at, end - at));
    at = end + 1;
  }
  Instance made;
  const std::string_view count = parts.back();
  const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), made.lanes);
  if (error != std::errc() || end != count.data() + count.size()) return std::nullopt;
  parts.pop_back();
  std::vector<DType> types;
  while (parts.size() > 1 && find_dtype(parts.back())) {
    types.insert(types.begin(), *find_dtype(parts.back()));
    parts.pop_back();
  }
  if (types.empty() || types.size() > 2) return std::nullopt;
  made.first = types.front();
  made.second = types.back();
  if (parts.size() > 1 && (parts.back() == "g" || parts.back() == "p")) {
    made.space = parts.back()[0];
    parts.pop_back();
  }
  if (parts.size() == 3 && (parts[1] == "update" || parts[1] == "each" || parts[1] == "pairs")) {
    made.word = parts.back();
    parts.pop_back();
  }
  for (std::size_t i = 1; i < parts.size(); ++i) made.base += (i == 1 ? "" : "_") + std::string(parts[i]);
  return made;
}

std::string power_of_two(DType dtype, int exponent) {
  return fmt::format("0x1p{}{}", exponent, dtype == DType::f64 ? "" : "f");
}

// What each mark of a row stands for; longer ones first.
std::vector<std::pair<std::string, std::string>> marks_of(const Instance& made, int rows) {
  const DType first = made.first, second = made.second;
  const int lanes = made.lanes, bytes = lane_bytes(first), bits = 8 * bytes;
  const bool vector = lanes > 1;
  const std::string count = vector ? fmt::format("{}", lanes) : "";
  const std::string lane = type_of(first, lanes), scalar(native(first));
  const std::string sign_less = std::string(integer_of(bytes, false)) + count;
  const std::string signed_one = std::string(integer_of(bytes, true)) + count;
  const auto reread = [&](const std::string& type) {
    return vector ? fmt::format("as_{}(", type) : fmt::format("({})(", type);
  };
  const auto convert = [&](const std::string& type) {
    return vector ? fmt::format("convert_{}{}", type, count) : fmt::format("({})", type);
  };
  const std::string_view code = info(first).bytes == 1 ? "uchar" : "ushort";
  const bool is_code = first == DType::i1 || is_narrow(first);
  std::string numbers;
  for (int i = 0; i < lanes; ++i) numbers += fmt::format("{}{}", i == 0 ? "" : ", ", i);
  const bool minus = is_signed(second);
  const int width = info(second).bits - (minus ? 1 : 0);
  const std::uint64_t highest = width <= 0 ? 1 : ~std::uint64_t{0} >> (64 - width);
  const std::string suffix = minus ? "l" : "ul";
  const bool wide_key = info(first).bits == 64;
  return {
      {"$(convert float)", convert("float")},
      {"$(convert double)", convert("double")},
      {"$(convert int)", convert("int")},
      {"$(convert long)", convert("long")},
      {"$(convert ulong)", convert("ulong")},
      {"$count", numbers},
      {"$most", bytes == 8 ? "0x7fffffffffffffffl" : "0x7fffffff"},
      {"$nan", bytes == 8 ? "0x7ff8000000000000l" : "0x7fc00000"},
      {"$fast", first == DType::f64 ? "FP_FAST_FMA" : "FP_FAST_FMAF"},
      {"$inf", first == DType::f8e4m3 ? "0" : "1"},
      {"$limit", power_of_two(first, width)},
      {"$floor", minus ? "-" + power_of_two(first, width) : "0"},
      {"$highest", fmt::format("{:#x}{}", highest, suffix)},
      {"$lowest", minus ? fmt::format("(-{:#x}l - 1)", highest) : "0"},
      {"$wide", info(second).bytes < 4 ? convert("int") : ""},
      {"$rows", fmt::format("{}", rows)},
      {"$x(", reread(lane)},
      {"$u(", reread(sign_less)},
      {"$w(", !vector && bytes < 4 ? "(uint)(" : "("},
      {"$c(", convert(scalar) + "("},
      {"$d", first == DType::f16      ? "10"
             : first == DType::f8e4m3 ? "3"
                                      : "2"},
      {"$e", first == DType::f8e4m3 ? "4" : "5"},
      {"$o", made.word},
      {"$s", std::string(1, made.space)},
      {"$X", lane},
      {"$U", sign_less},
      {"$I", signed_one},
      {"$M", type_of(DType::i1, lanes)},
      {"$E", scalar},
      {"$D", std::string(info(first).name)},
      {"$P", is_code ? std::string(code) + count : lane},
      {"$S", made.space == 'g' ? "__global" : "__private"},
      {"$Y", type_of(second, lanes)},
      {"$2", std::string(info(second).name)},
      {"$K", wide_key ? "u64" : "u32"},
      {"$G", wide_key ? "i64" : "i32"},
      {"$L", count},
      {"$N", fmt::format("{}", lanes)},
      {"$T", std::string(info(first).name)},
      {"$W", fmt::format("{}", bits)},
  };
}

std::string fill_in(std::string_view text, const Instance& made, int rows) {
  const auto marks = marks_of(made, rows);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t next = std::min(text.find('$', at), text.size());
    out += text.substr(at, next - at);
    at = next;
    if (at == text.size()) break;
    bool found = false;
    for (const auto& [mark, word] : marks) {
      if (!text.substr(at).starts_with(mark)) continue;
      out += word;
      at += mark.size();
      found = true;
      break;
    }
    if (!found) throw_error(FLAGOS_STATUS_INTERNAL, "no mark at '{}'", text.substr(at, 12));
  }
  return out;
}

// c += a b for so many rows of a, `lda` apart, and a panel of b, at least 1 deep: written out, since compilers keep arrays of vectors in
// memory, and apart, since its registers are enough for nothing else.
std::string micro_kernel(const Instance& made, int rows) {
  const std::string name(info(made.first).name), type = type_of(made.first, made.lanes);
  const int lanes = made.lanes;
  std::string text = fmt::format(
      "APART void fl_micro_{0}_{1}(const {0}* a, i64 lda, const {0}* b, i64 depth, {0}* c, i64 ldc) {{\n", name, lanes);
  for (int i = 0; i < rows; ++i)
    text +=
        fmt::format("  {0} c{1} = fl_load_p_{2}_{3}(c + {1} * ldc), d{1} = fl_load_p_{2}_{3}(c + {1} * ldc + {3});\n",
                    type, i, name, lanes);
  text += "  i64 i = 0;\n  do {\n";
  text += fmt::format("    const {0} p = fl_load_p_{1}_{2}(b), q = fl_load_p_{1}_{2}(b + {2});\n    {0} x;\n", type,
                      name, lanes);
  for (int i = 0; i < rows; ++i)
    text += fmt::format(
        "    x = ({0})a[i + {1} * lda], c{1} = fl_step_{2}_{3}(x, p, c{1}), d{1} = fl_step_{2}_{3}(x, q, d{1});\n",
        type, i, name, lanes);
  text += fmt::format("    b += {};\n  }} while (++i < depth);\n", 2 * lanes);
  for (int i = 0; i < rows; ++i)
    text +=
        fmt::format("  fl_store_p_{0}_{1}(c + {2} * ldc, c{2});\n  fl_store_p_{0}_{1}(c + {2} * ldc + {1}, d{2});\n",
                    name, lanes, i);
  return text + "}\n";
}

// A square of vectors, whose rows become columns.
std::string transpose(const Instance& made) {
  const std::string from(info(made.first).name), to(info(made.second).name), type = type_of(made.second, made.lanes);
  const int lanes = made.lanes;
  const std::string space = made.space == 'g' ? "__global" : "__private";
  std::string text =
      fmt::format("void fl_transpose_{0}_{1}_{2}_{3}(const {4} {1}* from, i64 from_step, {2}* to, i64 to_step) {{\n",
                  made.space, from, to, lanes, space);
  for (int i = 0; i < lanes; ++i)
    text += fmt::format("  const {0} r0_{1} = convert_{0}(fl_load_{2}_{3}_{4}(from + {1} * from_step));\n", type, i,
                        made.space, from, lanes);
  const auto mixed = [&](int first, const std::string& a, const std::string& b) {
    std::string list;
    for (int i = first; i < first + lanes / 2; ++i)
      list += fmt::format("{0}{1}.s{3:x}, {2}.s{3:x}", i == first ? "" : ", ", a, b, i);
    return list;
  };
  int round = 0;
  for (int step = 1; step < lanes; step *= 2, ++round) {
    for (int i = 0; i < lanes / 2; ++i) {
      const std::string a = fmt::format("r{}_{}", round, i), b = fmt::format("r{}_{}", round, i + lanes / 2);
      text += fmt::format("  const {0} r{1}_{2} = ({0})({3}), r{1}_{4} = ({0})({5});\n", type, round + 1, 2 * i,
                          mixed(0, a, b), 2 * i + 1, mixed(lanes / 2, a, b));
    }
  }
  for (int i = 0; i < lanes; ++i)
    text += fmt::format("  fl_store_p_{}_{}(to + {} * to_step, r{}_{});\n", to, lanes, i, round, i);
  return text + "}\n";
}

std::optional<std::string> print(const std::string& name, int rows) {
  const std::optional<Instance> made = parse(name);
  if (!made) return std::nullopt;
  if (made->base == "micro") return micro_kernel(*made, rows);
  if (made->base == "transpose") return transpose(*made);
  for (const Row& row : kRows) {
    if (row.name != made->base || !is_of(made->first, row.classes)) continue;
    if (row.lanes == (made->lanes > 1 ? "1" : "v")) continue;
    return fill_in(row.text.substr(1), *made, rows);
  }
  return std::nullopt;
}

// The names that a text calls, in its order.
std::vector<std::string> called_by(const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t at = 0; (at = text.find("fl_", at)) != std::string::npos;) {
    const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", at);
    names.push_back(text.substr(at, end - at));
    at = std::min(end, text.size());
  }
  return names;
}

void print_all(const std::string& text, int rows, std::set<std::string>& done, std::string& out) {
  for (const std::string& name : called_by(text)) {
    if (!done.insert(name).second) continue;
    const std::optional<std::string> made = print(name, rows);
    if (!made) continue;  // a word of the author's
    print_all(*made, rows, done, out);
    out += *made;
  }
}

}  // namespace

std::string type_of(DType lane, int lanes) {
  if (lanes == 1) return lane == DType::i1 ? "bool" : std::string(native(lane));
  return fmt::format("{}{}", native(lane), lanes);
}

std::string functions_of(const std::string& text, int rows) {
  std::set<std::string> done;
  std::string out;
  print_all(text, rows, done, out);
  return out;
}

}  // namespace flagos::compiler::opencl_lanes
