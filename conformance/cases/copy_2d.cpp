// copy.2d, copy.rect, copy.symbol: rows with a pitch, rectangles, and globals of a module.
#include <algorithm>
#include <string>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

struct Shape {
  std::uint64_t width, height, target_pitch, source_pitch;
  std::uint64_t target_offset = 0, source_offset = 0;
};

flagos_copy_2d_desc_t describe(flagos_address_t target, flagos_address_t source,
                               const Shape& shape) {
  flagos_copy_2d_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.target = target + shape.target_offset;
  desc.source = source + shape.source_offset;
  desc.target_pitch_bytes = shape.target_pitch;
  desc.source_pitch_bytes = shape.source_pitch;
  desc.width_bytes = shape.width;
  desc.height = shape.height;
  return desc;
}

std::uint64_t extent(const Shape& shape, std::uint64_t pitch, std::uint64_t offset) {
  return shape.height == 0 ? offset : offset + pitch * (shape.height - 1) + shape.width;
}

// Copies the rectangle and compares the whole target, the bytes between the rows too.
void copy_rectangle(Context& t, flagos_stream_t* stream, flagos_memory_kind_t to,
                    flagos_memory_kind_t from, const Shape& shape) {
  t.subcase(std::string(kind_name(from)) + " to " + kind_name(to) + ", " +
            std::to_string(shape.width) + " x " + std::to_string(shape.height) + ", pitches " +
            std::to_string(shape.target_pitch) + " and " + std::to_string(shape.source_pitch) +
            ", offsets " + std::to_string(shape.target_offset) + " and " +
            std::to_string(shape.source_offset));
  Side target(t, to,
              std::max<std::uint64_t>(1, extent(shape, shape.target_pitch, shape.target_offset)));
  Side source(t, from,
              std::max<std::uint64_t>(1, extent(shape, shape.source_pitch, shape.source_offset)));
  auto expected =
      noise(t, std::max<std::uint64_t>(1, extent(shape, shape.target_pitch, shape.target_offset)));
  const auto bytes =
      noise(t, std::max<std::uint64_t>(1, extent(shape, shape.source_pitch, shape.source_offset)));
  target.set(expected);
  source.set(bytes);
  const flagos_copy_2d_desc_t desc = describe(target.address(), source.address(), shape);
  t.ok(flagos_memory_copy_2d(stream, &desc), "memory_copy_2d");
  synchronize(t, stream);
  for (std::uint64_t row = 0; row < shape.height; ++row) {
    std::copy_n(bytes.data() + shape.source_offset + row * shape.source_pitch, shape.width,
                expected.data() + shape.target_offset + row * shape.target_pitch);
  }
  same(t, target.get(), expected, "the rectangle and the bytes around it");
  target.verify();
}

FLAGOS_CASE("copy.2d.basic",
            {.clause = "flagos_memory_copy_2d", .level = Level::full, .feature = "copy_2d"}) {
  Stream stream(t);
  for (const auto from : {FLAGOS_MEMORY_KIND_UNKNOWN, FLAGOS_MEMORY_KIND_DEVICE}) {
    for (const auto to : {FLAGOS_MEMORY_KIND_UNKNOWN, FLAGOS_MEMORY_KIND_DEVICE}) {
      for (const Shape& shape :
           {Shape{64, 16, 64, 64}, Shape{100, 33, 128, 100}, Shape{1, 50, 3, 7},
            Shape{1000, 1, 5000, 1000}, Shape{777, 41, 1024, 4096}, Shape{0, 10, 16, 16},
            Shape{10, 0, 16, 16}}) {
        copy_rectangle(t, stream, to, from, shape);
      }
    }
  }
}

FLAGOS_CASE("copy.rect.offset", {.clause = "flagos_memory_copy_2d at odd offsets",
                                 .level = Level::full,
                                 .feature = "copy_2d"}) {
  Stream stream(t);
  for (int i = 0; i < 8; ++i) {
    Shape shape{1 + t.random_below(300), 1 + t.random_below(60), 0, 0};
    shape.target_pitch = shape.width + t.random_below(77);
    shape.source_pitch = shape.width + t.random_below(77);
    shape.target_offset = 2 * t.random_below(500) + 1;
    shape.source_offset = 2 * t.random_below(500) + 1;
    copy_rectangle(t, stream, FLAGOS_MEMORY_KIND_DEVICE, FLAGOS_MEMORY_KIND_DEVICE, shape);
  }
}

FLAGOS_CASE("copy.2d.bad_pitch",
            {.clause = "flagos_memory_copy_2d: pitch below width, a range past its allocation",
             .level = Level::full,
             .oracle = Oracle::code,
             .feature = "copy_2d"}) {
  Stream stream(t);
  Memory target(t, 4096);
  Memory source(t, 4096);
  const auto bytes = noise(t, 4096);
  write(t, stream, target.address(), bytes);
  const auto refuse = [&](const char* what, const Shape& shape, flagos_address_t to,
                          flagos_address_t from) {
    t.subcase(what);
    const flagos_copy_2d_desc_t desc = describe(to, from, shape);
    t.status(flagos_memory_copy_2d(stream, &desc), FLAGOS_STATUS_INVALID_ARGUMENT,
             "memory_copy_2d");
  };
  const flagos_address_t to = target.address();
  const flagos_address_t from = source.address();
  refuse("target pitch below width", {64, 4, 63, 64}, to, from);
  refuse("source pitch below width", {64, 4, 64, 63}, to, from);
  refuse("pitches 0", {64, 4, 0, 0}, to, from);
  refuse("pitch overflow", {64, 4, UINT64_MAX / 2, 64}, to, from);
  refuse("height overflow", {64, UINT64_MAX / 32, 64, 64}, to, from);
  refuse("width overflow", {UINT64_MAX, 2, UINT64_MAX, UINT64_MAX}, to, from);
  refuse("one row past the end", {64, 65, 64, 64}, to, from);
  refuse("one byte past the end", {64, 64, 64, 64, 0, 1}, to, from);
  refuse("no target", {64, 4, 64, 64}, 0, from);
  refuse("no source", {64, 4, 64, 64}, to, 0);
  same(t, read(t, stream, to, 4096), bytes, "the target of refused copies");
}

FLAGOS_CASE("copy.symbol_global", {.clause = "flagos_module_get_global gives memory for copies",
                                   .level = Level::full,
                                   .feature = "module_global"}) {
  flagos_address_t global = 0;
  std::uint64_t size = 0;
  t.ok(flagos_module_get_global(t.module(), "data_global", &global, &size), "module_get_global");
  t.equal(size, 256, "the size of the global");
  Stream stream(t);
  t.subcase("its initial value");
  const auto initial = words(read(t, stream, global, size));
  const std::vector<std::uint32_t> first{1, 2, 3, 0};
  t.check(std::equal(first.begin(), first.end(), initial.begin()),
          "the global starts as the module says");
  t.subcase("whole");
  const auto bytes = noise(t, size);
  write(t, stream, global, bytes);
  same(t, read(t, stream, global, size), bytes, "the global");
  t.subcase("offset");
  same(t, read(t, stream, global + 100, 56), std::span(bytes).subspan(100, 56),
       "a part of the global");
  t.subcase("through the device");
  Buffer device(t, size);
  copy(t, stream, device.address(), global, size);
  synchronize(t, stream);
  same(t, device.read(), bytes, "the copy on the device");
}

}  // namespace
}  // namespace flagos::conformance
