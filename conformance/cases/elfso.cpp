// The format elf-so: plain C functions that are called through the signature their caller gives.
#include <flagos.h>

#include <bit>
#include <cstring>

#include "conformance/cases/module_support.hpp"

namespace flagos::conformance {
namespace {

// The parameters of a function, each at its natural alignment behind the one before.
std::vector<flagos_parameter_t> signature(const std::vector<flagos_dtype_t>& dtypes) {
  std::vector<flagos_parameter_t> parameters;
  std::uint32_t offset = 0;
  for (const flagos_dtype_t dtype : dtypes) {
    const std::uint32_t size = FLAGOS_DTYPE_BITS(dtype) / 8;
    offset = (offset + size - 1) / size * size;
    parameters.push_back({dtype, size, size, offset});
    offset += size;
  }
  return parameters;
}

flagos_kernel_t* plain_function(Context& t, const char* name,
                                const std::vector<flagos_parameter_t>& parameters) {
  std::string format;
  t.module_image(&format);
  if (format != "elf-so") t.not_supported("the device does not take elf-so");
  auto desc = kernel_desc(name);
  desc.parameters = parameters.data();
  desc.parameter_count = static_cast<std::uint32_t>(parameters.size());
  flagos_kernel_t* kernel = nullptr;
  const flagos_status_t status = flagos_module_get_kernel(t.module(), &desc, &kernel);
  if (status == FLAGOS_STATUS_UNSUPPORTED || status == FLAGOS_STATUS_NOT_FOUND) {
    t.not_supported("the plugin does not call plain functions");
  }
  t.ok(status, "a plain function with a signature");
  return kernel;
}

}  // namespace

FLAGOS_CASE("elfso.plain",
            {.clause = "flagos_cpu_kernel.h: plain functions", .level = Level::full}) {
  flagos_kernel_t* const kernel =
      plain_function(t, "elfso_scale",
                     signature({FLAGOS_DTYPE_ADDRESS, FLAGOS_DTYPE_FLOAT32, FLAGOS_DTYPE_INT32}));
  Stream stream(t);
  Words words(t, 100, std::bit_cast<std::uint32_t>(1.5f));
  const flagos_argument_t count{FLAGOS_DTYPE_INT32, 0, 99};
  t.subcase("a launch");
  launch(t, stream, kernel, {1, 1, 1}, {1, 1, 1}, {arg(words.at()), arg_f32(-3.0f), count});
  stream.synchronize();
  std::vector<std::uint32_t> expected(100, std::bit_cast<std::uint32_t>(-4.5f));
  expected[99] = std::bit_cast<std::uint32_t>(1.5f);
  equal_words(t, words.read(), expected, "the function ran once with its arguments");
  t.subcase("more than one block or thread");
  const std::vector<flagos_argument_t> arguments{arg(words.at()), arg_f32(2.0f), count};
  auto desc = launch_desc({2, 1, 1}, {1, 1, 1}, arguments);
  t.status(flagos_kernel_launch(stream, kernel, &desc), FLAGOS_STATUS_INVALID_ARGUMENT,
           "two blocks");
  desc = launch_desc({1, 1, 1}, {1, 2, 1}, arguments);
  t.status(flagos_kernel_launch(stream, kernel, &desc), FLAGOS_STATUS_INVALID_ARGUMENT,
           "two threads");
  stream.synchronize();
  equal_words(t, words.read(), expected, "nothing ran");
}

FLAGOS_CASE("elfso.plain_many",
            {.clause = "flagos_cpu_kernel.h: plain functions", .level = Level::full}) {
  const std::vector<flagos_dtype_t> dtypes{
      FLAGOS_DTYPE_ADDRESS, FLAGOS_DTYPE_INT8,    FLAGOS_DTYPE_UINT8,   FLAGOS_DTYPE_INT16,
      FLAGOS_DTYPE_UINT16,  FLAGOS_DTYPE_INT32,   FLAGOS_DTYPE_UINT32,  FLAGOS_DTYPE_INT64,
      FLAGOS_DTYPE_UINT64,  FLAGOS_DTYPE_FLOAT32, FLAGOS_DTYPE_FLOAT64, FLAGOS_DTYPE_FLOAT32,
      FLAGOS_DTYPE_FLOAT64, FLAGOS_DTYPE_FLOAT32, FLAGOS_DTYPE_FLOAT64, FLAGOS_DTYPE_FLOAT32,
      FLAGOS_DTYPE_FLOAT64, FLAGOS_DTYPE_FLOAT32, FLAGOS_DTYPE_FLOAT64, FLAGOS_DTYPE_BOOL};
  flagos_kernel_t* const kernel = plain_function(t, "elfso_many", signature(dtypes));
  Stream stream(t);
  Buffer out(t, 19 * 8);
  std::vector<flagos_argument_t> arguments{arg(out.address())};
  std::vector<std::uint64_t> sent;
  for (std::size_t i = 1; i < dtypes.size(); ++i) {
    const std::uint32_t bits = FLAGOS_DTYPE_BITS(dtypes[i]);
    std::uint64_t value =
        t.random()() | (std::uint64_t{1} << (bits - 1));  // a sign, to see it extended
    if (bits < 64) value &= (std::uint64_t{1} << bits) - 1;
    if (dtypes[i] == FLAGOS_DTYPE_BOOL) value = 1;
    sent.push_back(value);
    arguments.push_back({dtypes[i], 0, value});
  }
  launch(t, stream, kernel, {1, 1, 1}, {1, 1, 1}, arguments);
  stream.synchronize();
  std::vector<std::uint64_t> expected(19);
  for (std::size_t i = 0; i < 8; ++i) expected[i] = sent[i];
  expected[0] |= ~std::uint64_t{0xff};
  expected[2] |= ~std::uint64_t{0xffff};
  expected[4] |= ~std::uint64_t{0xffffffff};
  for (std::size_t i = 0; i < 5; ++i) {
    expected[8 + i] = sent[8 + 2 * i];
    expected[13 + i] = sent[9 + 2 * i];
  }
  expected[18] = 1;
  const auto bytes = out.read();
  t.equal_bytes(bytes, {reinterpret_cast<const std::uint8_t*>(expected.data()), 19 * 8},
                "every argument in its place");
}

FLAGOS_CASE("elfso.signature", {.clause = "flagos_module_get_kernel: a signature",
                                .level = Level::full,
                                .oracle = Oracle::code}) {
  plain_function(t, "elfso_scale",
                 signature({FLAGOS_DTYPE_ADDRESS, FLAGOS_DTYPE_FLOAT32, FLAGOS_DTYPE_INT32}));
  const auto refused = [&](const char* what, const char* name,
                           const std::vector<flagos_parameter_t>& parameters) {
    t.subcase(what);
    auto desc = kernel_desc(name);
    desc.parameters = parameters.data();
    desc.parameter_count = static_cast<std::uint32_t>(parameters.size());
    auto* kernel = reinterpret_cast<flagos_kernel_t*>(0x55);
    t.status(flagos_module_get_kernel(t.module(), &desc, &kernel), FLAGOS_STATUS_INVALID_ARGUMENT,
             "a bad signature");
    t.check(kernel == nullptr, "the out parameter is NULL");
  };
  refused("overlap", "elfso_scale",
          {{FLAGOS_DTYPE_ADDRESS, 8, 8, 0}, {FLAGOS_DTYPE_FLOAT32, 4, 4, 4}});
  refused("misaligned", "elfso_scale",
          {{FLAGOS_DTYPE_ADDRESS, 8, 8, 0}, {FLAGOS_DTYPE_FLOAT32, 4, 4, 9}});
  refused("an alignment that is no power of two", "elfso_scale", {{FLAGOS_DTYPE_ADDRESS, 8, 3, 0}});
  refused("a size of 0", "elfso_scale", {{FLAGOS_DTYPE_BYTES, 0, 1, 0}});
  refused("another than the kernel's own", "tl_affine", {{FLAGOS_DTYPE_ADDRESS, 8, 8, 0}});
  Stream stream(t);
  Words words(t, 4, 1);
  affine(t, stream, words, 2, 1);
  stream.synchronize();
  t.equal(words.first(), 3, "the kernel works with its own signature");
}

}  // namespace flagos::conformance
