#include "plugins/nvidia/signature.hpp"

#include <algorithm>
#include <cctype>

#include "base/error.hpp"

namespace flagos::nvidia {
namespace {

constexpr std::string_view failure_name = "flagos_failure";
constexpr std::size_t header_words = 3;  // version, whether it may fail, how many parameters
constexpr std::size_t words_each = 3;    // dtype, size, alignment

// In C++17, without a header. Types that are no scalars of the language are known by their names.
constexpr std::string_view reflection = R"(
namespace flagos_reflection {
typedef unsigned int u32;
__device__ constexpr bool begins(const char* text, const char* name) {
  while (*name != 0 && *text == *name) ++text, ++name;
  return *name == 0;
}
template <typename T>
__device__ constexpr bool is_named(const char* name) {
  for (const char* at = __PRETTY_FUNCTION__; *at != 0; ++at)
    if (begins(at, name)) return true;
  return false;
}
template <typename T>
struct type {
  static constexpr u32 dtype =
      sizeof(T) == 2 && (is_named<T>("flagos_float16_t") || is_named<T>("__half")) ? 0x11002u
      : sizeof(T) == 2 && is_named<T>("bfloat16") ? 0x11004u
      : sizeof(T) == 8 && is_named<T>("flagos_address_t") ? 0x14003u : 0x10803u;
};
template <typename T>
struct type<T*> {
  static constexpr u32 dtype = 0x14003u;
};
template <u32 code, typename T>
struct scalar {
  static constexpr u32 dtype = code | (u32)sizeof(T) << 11 | 0x10000u;
};
template <> struct type<bool> : scalar<6, bool> {};
template <> struct type<char> : scalar<0, char> {};
template <> struct type<signed char> : scalar<0, signed char> {};
template <> struct type<short> : scalar<0, short> {};
template <> struct type<int> : scalar<0, int> {};
template <> struct type<long> : scalar<0, long> {};
template <> struct type<long long> : scalar<0, long long> {};
template <> struct type<unsigned char> : scalar<1, unsigned char> {};
template <> struct type<unsigned short> : scalar<1, unsigned short> {};
template <> struct type<unsigned int> : scalar<1, unsigned int> {};
template <> struct type<unsigned long> : scalar<1, unsigned long> {};
template <> struct type<unsigned long long> : scalar<1, unsigned long long> {};
template <> struct type<float> : scalar<2, float> {};
template <> struct type<double> : scalar<2, double> {};
template <typename F>
struct signature;
template <typename... T>
struct signature<void(T...)> {
  u32 version, fails, count, words[3 * sizeof...(T) + 1];
  __device__ constexpr signature(u32 may_fail) : version(1), fails(may_fail), count(sizeof...(T)), words{} {
    // Not one expression over all of them: kernels have up to a thousand parameters, and compilers nest it.
    const u32 dtypes[] = {type<T>::dtype..., 0u}, sizes[] = {(u32)sizeof(T)..., 0u};
    const u32 alignments[] = {(u32)alignof(T)..., 0u};
    for (u32 i = 0; i < count; ++i) {
      words[3 * i] = dtypes[i];
      words[3 * i + 1] = sizes[i];
      words[3 * i + 2] = alignments[i];
    }
  }
};
}
)";

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// The word that ends at `to`, spaces left out.
std::string_view word_before(std::string_view text, std::size_t to) {
  while (to > 0 && is_space(text[to - 1])) --to;
  std::size_t from = to;
  while (from > 0 && is_word(text[from - 1])) --from;
  return text.substr(from, to - from);
}

void add_once(std::vector<std::string>& names, std::string_view name) {
  if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
    names.emplace_back(name);
}

}  // namespace

// From the word __global__ up to the bracket of the parameters, which is the first that is not of __launch_bounds__.
std::vector<std::string> kernels_in_source(std::string_view source) {
  constexpr std::string_view mark = "__global__", bounds = "__launch_bounds__";
  std::vector<std::string> names;
  for (std::size_t at = source.find(mark); at != std::string_view::npos;
       at = source.find(mark, at + 1)) {
    std::size_t bracket = source.find('(', at);
    if (bracket != std::string_view::npos && word_before(source, bracket) == bounds) {
      const std::size_t close = source.find(')', bracket);
      bracket = close == std::string_view::npos ? close : source.find('(', close);
    }
    if (bracket == std::string_view::npos) break;
    const std::string_view between = source.substr(at, bracket - at);
    if (between.find_first_of(";{}#\\<") == std::string_view::npos)
      add_once(names, word_before(source, bracket));
  }
  return names;
}

std::vector<std::string> failing_in_source(std::string_view source) {
  std::vector<std::string> names;
  for (std::size_t at = source.find(failure_name); at != std::string_view::npos;
       at = source.find(failure_name, at + 1)) {
    const std::size_t behind = source.find_first_not_of(" \t\r\n", at + failure_name.size());
    const std::size_t bracket = source.rfind('(', at);
    if (behind != std::string_view::npos && source[behind] == ')' &&
        bracket != std::string_view::npos)
      add_once(names, word_before(source, bracket));
  }
  return names;
}

std::string signature_name(std::string_view kernel) {
  return "flagos_signature_" + std::string(kernel);
}

std::string signature_text(const std::vector<std::string>& kernels,
                           const std::vector<std::string>& failing) {
  std::string text = "\n";
  text += reflection;
  for (const std::string& kernel : kernels) {
    const bool fails = std::find(failing.begin(), failing.end(), kernel) != failing.end();
    text += fmt::format(
        "extern \"C\" __device__ flagos_reflection::signature<decltype({})> {} = {{{}u}};\n",
        kernel, signature_name(kernel), fails ? 1 : 0);
  }
  return text;
}

Signature read_signature(std::string_view kernel, std::span<const std::uint32_t> words) {
  const auto refuse = [&] {
    throw_error(FLAGOS_STATUS_INVALID_IMAGE,
                "the module's table {} of {} words is none that this plugin writes",
                signature_name(kernel), words.size());
  };
  if (words.size() < header_words || words[0] != 1 || words[1] > 1 || words[2] > 4096 ||
      words.size() < header_words + std::size_t{words[2]} * words_each || words[1] > words[2])
    refuse();
  Signature signature;
  signature.fails = words[1] != 0;
  std::uint32_t end = 0;
  for (std::uint32_t i = 0; i < words[2] - words[1]; ++i) {
    const auto* own = &words[header_words + i * words_each];
    if (own[1] == 0 || own[1] > 4096 || own[2] == 0 || own[2] > 64 || (own[2] & (own[2] - 1)) != 0)
      refuse();
    const std::uint32_t offset = (end + own[2] - 1) / own[2] * own[2];
    signature.parameters.push_back({own[0], own[1], own[2], offset});
    end = offset + own[1];
  }
  return signature;
}

bool is_compatible(const flagos_parameter_t& own, const flagos_parameter_t& given) noexcept {
  if (own.size_bytes != given.size_bytes || own.offset_bytes != given.offset_bytes) return false;
  const bool is_narrow = own.dtype == FLAGOS_DTYPE_UINT8 || own.dtype == FLAGOS_DTYPE_UINT16;
  return own.dtype == given.dtype || own.dtype == FLAGOS_DTYPE_BYTES || is_narrow;
}

}  // namespace flagos::nvidia
