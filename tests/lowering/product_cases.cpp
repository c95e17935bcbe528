// Products in loops as kernels have them: factors loaded each round, over the edges of matrices, as they lie or
// transposed; and products of what was computed.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "tests/lowering/cases.hpp"

namespace flagos::compiler::test {
namespace {

struct Shape {
  int bm, bn, bk;  // of the tiles
  int m, n, k;     // of the matrices
  int more = 0;    // rows of b which a has no columns for
};

struct Kind {
  DType dtype;
  bool reduced = false;  // fewer digits will do
};

void add_scalar(Case& made, std::int32_t value) {
  std::vector<std::byte> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  made.arguments.push_back({DType::i32, bytes, false});
}

// The tile %t<name> of rows x columns at %row, %column of the matrix that %view<name> shows.
std::string factor(const char* name, DType dtype, bool transposed, int rows, int columns,
                   const char* row, const char* column) {
  const std::string_view type = info(dtype).name;
  if (!transposed)
    return fmt::format("%t{0} = load %view{0}, {1}, {2} : tile<{3}x{4}x{5}>\n", name, row, column,
                       rows, columns, type);
  return fmt::format(
      "%l{0} = load %view{0}, {2}, {1} : tile<{4}x{3}x{5}>\n%t{0} = trans %l{0} {{perm=[1, 0]}} : "
      "tile<{3}x{4}x{5}>\n",
      name, row, column, rows, columns, type);
}

// c = a b, summed over k in rounds of bk; one program for a tile of c. `kept`: the tile of a is loaded before the rounds, and
// multiplied in each.
Case matrix_product(const Shape& s, const Kind& kind, bool a_transposed, bool b_transposed,
                    bool kept, std::uint64_t seed) {
  const DType dtype = kind.dtype;
  const std::string_view type = info(dtype).name;
  const bool whole = dtype == DType::i8 || dtype == DType::u8;
  const char* const sum = whole ? "i32" : "f32";
  Case made;
  made.name = fmt::format("product of {}{} {}x{}x{}{}{}{}", kind.reduced ? "reduced " : "", type,
                          s.bm, s.bn, s.bk, a_transposed ? ", a transposed" : "",
                          b_transposed ? ", b transposed" : "", kept ? ", a kept" : "");
  const auto view = [&](const char* name, const char* rows, const char* columns, bool transposed) {
    return transposed
               ? fmt::format(
                     "%view{0} = view %{0}, {2}, {1}, {1} {{shape=[?, ?], strides=[?, 1]}} : "
                     "view<{3}, 2>\n",
                     name, rows, columns, type)
               : fmt::format(
                     "%view{0} = view %{0}, {1}, {2}, {2} {{shape=[?, ?], strides=[?, 1]}} : "
                     "view<{3}, 2>\n",
                     name, rows, columns, type);
  };
  made.text =
      fmt::format(
          "flagos.tile 1.0\nkernel @k(%a: ptr<{0}> {{readonly}}, %b: ptr<{0}> {{readonly}}, "
          "%c: ptr<{1}>, %m: i32, %n: i32, %k: i32, %kb: i32) {{\n",
          type, sum) +
      view("a", "%m", "%k", a_transposed) + view("b", "%kb", "%n", b_transposed) +
      fmt::format(
          "%x = program_id {{axis=0}} : i32\n%y = program_id {{axis=1}} : i32\n%bm = const "
          "{{value={0}}} "
          ": i32\n%bn = const {{value={1}}} : i32\n%bk = const {{value={2}}} : i32\n%row = mul %x, "
          "%bm : "
          "i32\n%column = mul %y, %bn : i32\n%zero = const {{value=0}} : i32\n%start = const "
          "{{value={4}}} : tile<{0}x{1}x{3}>\n{5}%sum = for %zero, %k, %bk, %start : "
          "tile<{0}x{1}x{3}> do "
          "(%i: i32, %s: tile<{0}x{1}x{3}>) {{\n",
          s.bm, s.bn, s.bk, sum, whole ? "3" : "0.5",
          kept ? factor("a", dtype, a_transposed, s.bm, s.bk, "%row", "%zero") : "") +
      (kept ? "" : factor("a", dtype, a_transposed, s.bm, s.bk, "%row", "%i")) +
      factor("b", dtype, b_transposed, s.bk, s.bn, "%i", "%column") +
      fmt::format(
          "%d = dot %ta, %tb, %s {3}: tile<{0}x{1}x{2}>\nyield %d\n}}\n%viewc = view %c, %m, %n, "
          "%n {{shape=[?, ?], strides=[?, 1]}} : view<{2}, 2>\nstore %viewc, %row, %column, "
          "%sum\n}}\n",
          s.bm, s.bn, sum, kind.reduced ? "{precision=reduced} " : "");
  const auto numbers = [&](int rows, int columns) {
    const auto count = static_cast<std::size_t>(rows * columns);
    made.arguments.push_back({dtype, random_memory(dtype, count, seed++), true});
  };
  numbers(s.m, s.k);
  numbers(s.k + s.more, s.n);
  const auto bytes = static_cast<std::size_t>(s.m * s.n) * sizeof(float);
  made.arguments.push_back({whole ? DType::i32 : DType::f32, std::vector<std::byte>(bytes), true});
  for (const int extent : {s.m, s.n, s.k, s.k + s.more}) add_scalar(made, extent);
  made.grid = {static_cast<std::uint32_t>((s.m + s.bm - 1) / s.bm),
               static_cast<std::uint32_t>((s.n + s.bn - 1) / s.bn), 1};
  return made;
}

}  // namespace

std::vector<Case> product_cases(std::uint64_t seed) {
  std::vector<Case> cases;
  // Whole tiles in aligned rows; over all edges, in rows that are not aligned; one round only; none.
  const Shape shapes[] = {{32, 32, 16, 64, 32, 48},
                          {48, 24, 32, 50, 29, 75},
                          {64, 64, 32, 70, 60, 32},
                          {16, 8, 16, 16, 8, 0},
                          {32, 16, 48, 31, 40, 104}};
  const auto add = [&](const Shape& shape, const Kind& kind, int sides, bool kept = false) {
    cases.push_back(
        matrix_product(shape, kind, (sides & 1) != 0, (sides & 2) != 0, kept, seed += 4));
  };
  for (const Shape& shape : shapes) {
    for (const DType dtype : {DType::f16, DType::bf16})
      for (int sides = 0; sides < 4; ++sides) add(shape, {dtype}, sides);
    add(shape, {DType::f32}, 0);
    for (int sides = 0; sides < 4; ++sides) add(shape, {DType::f32, true}, sides);
  }
  // Bytes go in pieces of 32 along the depth.
  const Kind bytes[] = {
      {DType::i8}, {DType::u8}, {DType::f8e4m3}, {DType::f8e4m3, true}, {DType::f8e5m2, true}};
  for (const Kind& kind : bytes)
    for (int sides = 0; sides < 4; ++sides) {
      add({32, 16, 64, 40, 33, 130}, kind, sides);
      add(sides % 2 == 0 ? shapes[1] : shapes[2], kind, sides);
    }
  for (const Kind& kind :
       {Kind{DType::bf16}, Kind{DType::f32}, Kind{DType::f32, true}, Kind{DType::i8}})
    for (const int sides : {0, 3}) add(shapes[1], kind, sides, true);
  // Blocks of a processor, over all of their edges, with half a pair at the end of the depth. An infinity in a row of b that a
  // does not reach makes a column NaN; one in a row of a, that row where it meets a 0.
  Shape blocks = {70, 70, 33, 75, 90, 100};
  for (int sides = 0; sides < 8; ++sides) {
    const bool infinite = sides >= 4, a_transposed = (sides & 1) != 0,
               b_transposed = (sides & 2) != 0;
    blocks.more = infinite ? 32 : 0;
    Case made = matrix_product(blocks, {DType::bf16}, a_transposed, b_transposed, false, seed += 4);
    const auto put = [&](std::size_t side, int at) {
      const std::uint64_t infinity = encode_float(DType::bf16, HUGE_VAL);
      std::memcpy(&made.arguments[side].memory[2 * static_cast<std::size_t>(at)], &infinity, 2);
    };
    if (infinite) {
      made.name += ", infinite";
      put(0, a_transposed ? 99 * blocks.m + 7 : 7 * blocks.k + 99);
      put(1, b_transposed ? 57 * (blocks.k + 32) + blocks.k + 31 : (blocks.k + 31) * blocks.n + 57);
    }
    cases.push_back(std::move(made));
  }
  return cases;
}

}  // namespace flagos::compiler::test
