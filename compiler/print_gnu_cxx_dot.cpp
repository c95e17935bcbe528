// The kernel at the heart of `dot`: a block of c held in registers, written out row by row, since compilers keep arrays
// of vectors in memory.
#include <fmt/format.h>

#include <iterator>

#include "compiler/print_gnu_cxx.hpp"

namespace flagos::compiler::gnu_cxx {

// Sums take two registers a row; b takes two, and a one.
int rows_at_once(std::uint32_t vector_bits) { return vector_bits >= 512 ? 14 : 6; }

std::string micro_kernel(std::uint32_t vector_bits) {
  const int rows = rows_at_once(vector_bits);
  std::string text = fmt::format("constexpr int ROWS_AT_ONCE = {};\n", rows);
  const auto line = [&]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
    text += '\n';
  };
  line("template <class C> constexpr int width_of = VECTOR_BYTES / (int)sizeof(C);");
  line(
      "// c += a b for {} rows of a, `lda` apart, and a panel of b, of items of the road R; of a depth of at least 1: "
      "a "
      "loop of none makes gcc 12 save registers.",
      rows);
  line("template <class R, i64 lda, class P, class C>");
  line("static __attribute__((noinline)) void micro(const P* a, const P* b, i64 depth, C* c, i64 ldc) {{");
  line("  constexpr int W = width_of<C>;");
  line("  typedef V<P, W> X;");
  for (int i = 0; i < rows; ++i) line("  V<C, W> c{0} = load<W>(c + {0} * ldc), d{0} = load<W>(c + {0} * ldc + W);", i);
  line("  i64 k = 0;");
  line("  do {{");
  line("    const X p = load<W>(b), q = load<W>(b + W);");
  line("    X x;");
  for (int i = 0; i < rows; ++i)
    line("    x = a[k + {0} * lda] - X{{}}, c{0} = R::step(x, p, c{0}), d{0} = R::step(x, q, d{0});", i);
  line("    b += 2 * W;");
  line("  }} while (++k < depth);");
  for (int i = 0; i < rows; ++i) line("  store(c + {0} * ldc, c{0}), store(c + {0} * ldc + W, d{0});", i);
  line("}}");
  return text;
}

}  // namespace flagos::compiler::gnu_cxx
