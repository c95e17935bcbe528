// Kernel arguments: every type bit for bit, structs, limits, both forms, and what is refused.
#include <flagos.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "conformance/cases/work.hpp"

namespace flagos::conformance {
namespace {

flagos_argument_t argument(flagos_dtype_t dtype, std::uint64_t bits) { return {dtype, 0, bits}; }

flagos_argument_t argument_bytes(const std::vector<std::uint8_t>& bytes) {
  return {FLAGOS_DTYPE_BYTES, static_cast<std::uint32_t>(bytes.size()),
          reinterpret_cast<std::uint64_t>(bytes.data())};
}

flagos_kernel_info_t info_of(Context& t, flagos_kernel_t* kernel) {
  flagos_kernel_info_t info{};
  info.struct_size = sizeof info;
  t.ok(flagos_kernel_get_info(kernel, &info), "what a kernel is");
  return info;
}

// Arguments are checked only where the kernel's parameters are known.
void require_signature(Context& t, flagos_kernel_t* kernel) {
  if ((info_of(t, kernel).flags & FLAGOS_KERNEL_FLAG_SIGNATURE) == 0) {
    t.not_supported("the suite's kernels have no signature in this format");
  }
}

std::vector<std::uint64_t> read_u64(Buffer& buffer) {
  const auto bytes = buffer.read();
  std::vector<std::uint64_t> values(bytes.size() / 8);
  std::memcpy(values.data(), bytes.data(), values.size() * 8);
  return values;
}

// A launch in the form of one packed block.
flagos_launch_desc_t packed(const std::vector<std::uint8_t>& block) {
  flagos_launch_desc_t desc = launch_desc({1, 1, 1}, {1, 1, 1});
  desc.argument_block = block.data();
  desc.argument_bytes = block.size();
  return desc;
}

template <typename Value>
void put(std::vector<std::uint8_t>& block, std::size_t offset, Value value) {
  std::memcpy(block.data() + offset, &value, sizeof value);
}

// The parameters of krn_echo without `out`, and bit patterns that are easily lost: signs, NaN
// payloads, subnormals.
struct Scalar {
  const char* name;
  flagos_dtype_t dtype;
  std::vector<std::uint64_t> patterns;
};
const std::vector<Scalar>& scalars() {
  static const std::vector<Scalar> all{
      {"i8", FLAGOS_DTYPE_INT8, {0x80, 0x7f, 0xff}},
      {"f16", FLAGOS_DTYPE_FLOAT16, {0x7e01, 0x7d55, 0xfc00, 0x0001, 0x8000, 0x3c01}},
      {"u8", FLAGOS_DTYPE_UINT8, {0xff, 0x80, 0x01}},
      {"i64", FLAGOS_DTYPE_INT64, {0x8000000000000000u, 0x7fffffffffffffffu, 0xfffffffffffffffeu}},
      {"i16", FLAGOS_DTYPE_INT16, {0x8000, 0x7fff, 0xffff}},
      {"f64",
       FLAGOS_DTYPE_FLOAT64,
       {0x7ff8dead0000beefu, 0x7ff0000000000001u, 1, 0x8000000000000000u}},
      {"bool", FLAGOS_DTYPE_BOOL, {1, 0}},
      {"u32", FLAGOS_DTYPE_UINT32, {0xffffffffu, 0x80000000u, 0x00010203u}},
      {"bf16", FLAGOS_DTYPE_BFLOAT16, {0x7fc1, 0x7f81, 0xff80, 0x0001, 0x8000, 0x3f81}},
      {"u64", FLAGOS_DTYPE_UINT64, {UINT64_MAX, 0x0123456789abcdefu, 0x100000000u}},
      {"u16", FLAGOS_DTYPE_UINT16, {0xffff, 0x8001}},
      {"f32", FLAGOS_DTYPE_FLOAT32, {0x7fc0beefu, 0x7f800001u, 1, 0x80000000u, 0x3f800001u}},
      {"i32", FLAGOS_DTYPE_INT32, {0x80000000u, 0x7fffffffu, 0xfffffffeu}},
      {"ptr", FLAGOS_DTYPE_ADDRESS, {0xdeadbeefcafe1234u, 1}}};
  return all;
}

}  // namespace

FLAGOS_CASE("krn.args.scalar_types", {.clause = "flagos_argument_t"}) {
  flagos_kernel_t* const kernel = t.kernel("krn_echo");
  Stream stream(t);
  Buffer out(t, 14 * 8);
  std::vector<std::uint64_t> expected(14);
  for (std::size_t which = 0; which < 14; ++which) {
    t.subcase(scalars()[which].name);
    for (const std::uint64_t pattern : scalars()[which].patterns) {
      std::vector<flagos_argument_t> arguments;
      for (std::size_t i = 0; i < 14; ++i) {
        const auto& others = scalars()[i].patterns;
        expected[i] = i == which ? pattern : others[t.random_below(others.size())];
        arguments.push_back(argument(scalars()[i].dtype, expected[i]));
        if (i == 0) arguments.push_back(arg(out.address()));
      }
      launch(t, stream, kernel, {1, 1, 1}, {1, 1, 1}, arguments);
      stream.synchronize();
      t.check(read_u64(out) == expected, "every argument arrives bit for bit");
    }
  }
}

FLAGOS_CASE("krn.args.struct_by_value", {.clause = "FLAGOS_DTYPE_BYTES"}) {
  Stream stream(t);
  for (const std::uint32_t size : {1u, 2u, 3u, 7u, 16u, 33u, 256u, 4080u}) {
    t.subcase(std::to_string(size) + " bytes");
    auto bytes = t.random_bytes(size);
    Buffer out(t, size + 5);
    launch(t, stream, t.kernel("krn_bytes_" + std::to_string(size)), {1, 1, 1}, {1, 1, 1},
           {arg(out.address()), argument(FLAGOS_DTYPE_UINT8, 0x5b), argument_bytes(bytes),
            arg_u32(0x01020304)});
    auto expected = bytes;
    expected.insert(expected.end(), {0x5b, 4, 3, 2, 1});
    std::fill(bytes.begin(), bytes.end(), std::uint8_t{0});
    stream.synchronize();
    t.equal_bytes(out.read(), expected, "the struct and what stands beside it");
  }
}

FLAGOS_CASE("krn.args.many", {.clause = "flagos_argument_t[]"}) {
  Stream stream(t);
  for (const std::uint32_t count : {64u, 128u, 1022u}) {
    t.subcase(std::to_string(count) + " words beside an address");
    const auto values = random_words(t, count);
    Words out(t, count);
    std::vector<flagos_argument_t> arguments{arg(out.at())};
    for (const std::uint32_t value : values) arguments.push_back(arg_u32(value));
    launch(t, stream, t.kernel("krn_many_" + std::to_string(count)), {1, 1, 1}, {1, 1, 1},
           arguments);
    stream.synchronize();
    equal_words(t, out.read(), values, "every argument arrives in its place");
  }
}

FLAGOS_CASE("krn.args.copied_at_launch",
            {.clause = "the argument block, or the arguments, are copied"}) {
  Stream stream(t);
  for (const bool block_form : {false, true}) {
    t.subcase(block_form ? "the packed block" : "the argument array");
    Words out(t, 64);
    const auto values = random_words(t, 64);
    std::vector<flagos_argument_t> arguments{arg(out.at())};
    for (const std::uint32_t value : values) arguments.push_back(arg_u32(value));
    std::vector<std::uint8_t> block(8 + 64 * 4);
    put(block, 0, out.at());
    std::memcpy(block.data() + 8, values.data(), 256);
    auto desc = block_form ? packed(block) : launch_desc({1, 1, 1}, {1, 1, 1}, arguments);
    Blocker blocker(t, stream);
    t.ok(flagos_kernel_launch(stream, t.kernel("krn_many_64"), &desc), "a launch");
    std::fill(block.begin(), block.end(), std::uint8_t{0xee});
    std::fill(arguments.begin(), arguments.end(), flagos_argument_t{});
    std::memset(&desc, 0xee, sizeof desc);
    blocker.release();
    stream.synchronize();
    equal_words(t, out.read(), values, "the arguments are those of the call");
  }
}

FLAGOS_CASE("krn.args.count_mismatch",
            {.clause = "arguments that do not fit the signature", .oracle = Oracle::code}) {
  flagos_kernel_t* const kernel = t.kernel("tl_affine");
  require_signature(t, kernel);
  Stream stream(t);
  Words words(t, 4, 2);
  const std::vector<flagos_argument_t> right{arg(words.at()), arg_u32(4), arg_u32(3), arg_u32(1)};
  for (const int change : {-1, 1}) {
    t.subcase(change < 0 ? "too few" : "too many");
    auto wrong = right;
    wrong.resize(right.size() + static_cast<std::size_t>(change), arg_u32(0));
    const auto desc = launch_desc({1, 1, 1}, {4, 1, 1}, wrong);
    t.status(flagos_kernel_launch(stream, kernel, &desc), FLAGOS_STATUS_INVALID_ARGUMENT,
             "the wrong number of arguments");
  }
  t.subcase("none");
  const auto none = launch_desc({1, 1, 1}, {4, 1, 1});
  t.status(flagos_kernel_launch(stream, kernel, &none), FLAGOS_STATUS_INVALID_ARGUMENT,
           "no arguments");
  launch(t, stream, kernel, {1, 1, 1}, {4, 1, 1}, right);
  stream.synchronize();
  t.equal(words.first(), 7, "only the launch that fits ran");
}

FLAGOS_CASE("krn.args.size_mismatch",
            {.clause = "with a signature exactly kernel_info.argument_bytes",
             .oracle = Oracle::code}) {
  flagos_kernel_t* const kernel = t.kernel("tl_affine");
  require_signature(t, kernel);
  Stream stream(t);
  Words words(t, 4, 2);
  std::vector<std::uint8_t> block(info_of(t, kernel).argument_bytes);
  put(block, 0, words.at());
  const std::array<std::uint32_t, 3> numbers{4, 3, 1};
  put(block, 8, numbers);
  for (const std::size_t size :
       {block.size() - 1, block.size() + 1, std::size_t{8}, std::size_t{0}}) {
    t.subcase("a block of " + std::to_string(size) + " bytes");
    auto wrong = block;
    wrong.resize(std::max<std::size_t>(size, 1));
    auto desc = packed(wrong);
    desc.argument_bytes = size;
    desc.block[0] = 4;
    t.status(flagos_kernel_launch(stream, kernel, &desc), FLAGOS_STATUS_INVALID_ARGUMENT,
             "a block of the wrong size");
  }
  t.subcase("an argument of another width");
  const std::vector<flagos_argument_t> wide{arg(words.at()), arg_u64(4), arg_u32(3), arg_u32(1)};
  const auto desc = launch_desc({1, 1, 1}, {4, 1, 1}, wide);
  t.status(flagos_kernel_launch(stream, kernel, &desc), FLAGOS_STATUS_INVALID_ARGUMENT,
           "8 bytes for a parameter of 4");
  t.subcase("both forms at once");
  const std::vector<flagos_argument_t> right{arg(words.at()), arg_u32(4), arg_u32(3), arg_u32(1)};
  auto both = launch_desc({1, 1, 1}, {4, 1, 1}, right);
  both.argument_block = block.data();
  both.argument_bytes = block.size();
  t.status(flagos_kernel_launch(stream, kernel, &both), FLAGOS_STATUS_INVALID_ARGUMENT,
           "a block and an array");
  t.subcase("the right block");
  auto good = packed(block);
  good.block[0] = 4;
  t.ok(flagos_kernel_launch(stream, kernel, &good), "a block of the right size");
  stream.synchronize();
  t.equal(words.first(), 7, "only the launch that fits ran");
}

FLAGOS_CASE("krn.args.null_ptr_allowed", {.clause = "an address argument is a value"}) {
  Stream stream(t);
  Buffer out(t, 14 * 8);
  std::vector<flagos_argument_t> arguments;
  for (std::size_t i = 0; i < 14; ++i) {
    arguments.push_back(argument(scalars()[i].dtype, 0));
    if (i == 0) arguments.push_back(arg(out.address()));
  }
  arguments[8].value = 0x1234;  // u32, to show that the kernel ran
  launch(t, stream, t.kernel("krn_echo"), {1, 1, 1}, {1, 1, 1}, arguments);
  stream.synchronize();
  const auto values = read_u64(out);
  t.equal(values[13], 0, "address 0 passes through");
  t.equal(values[7], 0x1234, "the kernel ran");
}

FLAGOS_CASE("krn.args.null_array", {.clause = "flagos_launch_desc_t", .oracle = Oracle::code}) {
  flagos_kernel_t* const kernel = t.kernel("tl_affine");
  Stream stream(t);
  Words words(t, 4, 2);
  t.subcase("an array of four at NULL");
  auto desc = launch_desc({1, 1, 1}, {4, 1, 1});
  desc.argument_count = 4;
  t.status(flagos_kernel_launch(stream, kernel, &desc), FLAGOS_STATUS_INVALID_ARGUMENT, "no array");
  t.subcase("a block of 24 bytes at NULL");
  desc.argument_count = 0;
  desc.argument_bytes = 24;
  t.status(flagos_kernel_launch(stream, kernel, &desc), FLAGOS_STATUS_INVALID_ARGUMENT, "no block");
  affine(t, stream, words, 5, 0);
  stream.synchronize();
  t.equal(words.first(), 10, "the kernel works with arguments");
}

FLAGOS_CASE("krn.args.freed_buffer",
            {.clause = "flagos_memory_free: work submitted before may still use it"}) {
  Stream stream(t);
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 4096;
  flagos_address_t source = 0;
  t.ok(flagos_memory_alloc(t.device(), &desc, &source), "memory");
  Words target(t, 1024);
  const std::uint32_t pattern = 0x1badcafe;
  t.ok(flagos_memory_fill(stream, source, &pattern, 4, 4096), "a fill");
  Blocker blocker(t, stream);
  const Shape shape = shape_for(t, 1024);
  launch(t, stream, t.kernel("tl_mix"), shape.grid, shape.block,
         {arg(target.at()), arg(source), arg_u32(1024), arg_u32(0)});
  t.ok(flagos_memory_free(t.device(), source),
       "the argument's memory is freed while the launch is pending");
  // Whoever reused it at once would be seen by the launch.
  flagos_address_t next = 0;
  t.ok(flagos_memory_alloc(t.device(), &desc, &next), "other memory of that size");
  Stream other(t);
  const std::uint32_t zero = 0;
  if ((t.info().capabilities & FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS) != 0) {
    t.ok(flagos_memory_fill(other, next, &zero, 4, 4096), "it is filled");
    other.synchronize();
  }
  blocker.release();
  stream.synchronize();
  t.ok(flagos_memory_free(t.device(), next), "the other memory is freed");
  equal_words(t, target.read(), std::vector<std::uint32_t>(1024, pattern),
              "the launch read its argument's memory");
}

FLAGOS_CASE("krn.args.padding", {.clause = "packed as the parameters say"}) {
  flagos_kernel_t* const kernel = t.kernel("krn_gaps");
  require_signature(t, kernel);
  const auto info = info_of(t, kernel);
  t.equal(info.parameter_count, 7, "the parameters");
  std::array<flagos_parameter_t, 7> at{};
  for (std::uint32_t i = 0; i < 7; ++i)
    t.ok(flagos_kernel_get_parameter(kernel, i, &at[i]), "a parameter");
  Stream stream(t);
  Buffer out(t, 6 * 8);
  for (int round = 0; round < 20; ++round) {
    auto block = t.random_bytes(info.argument_bytes);
    const std::uint64_t b = t.random()();
    const auto d = static_cast<std::uint32_t>(b >> 7);
    put(block, at[0].offset_bytes, std::uint8_t{0xa1});
    put(block, at[1].offset_bytes, b);
    put(block, at[2].offset_bytes, std::uint8_t{0xc3});
    put(block, at[3].offset_bytes, d);
    put(block, at[4].offset_bytes, std::uint16_t{0xe5e6});
    put(block, at[5].offset_bytes, out.address());
    put(block, at[6].offset_bytes, std::uint8_t{0xf7});
    const auto desc = packed(block);
    t.ok(flagos_kernel_launch(stream, kernel, &desc), "a launch with random bytes in the gaps");
    stream.synchronize();
    const std::vector<std::uint64_t> expected{0xa1, b, 0xc3, d, 0xe5e6, 0xf7};
    t.check(read_u64(out) == expected, "the values do not depend on the gaps");
  }
}

}  // namespace flagos::conformance
