// The pieces of work of work.hpp.
#include "conformance/cases/work.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "conformance/cases/plugin_probe.hpp"
namespace flagos::conformance {
namespace {

std::span<const std::uint8_t> bytes_of(const std::vector<std::uint32_t>& values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * 4};
}

}  // namespace

bool eventually(const std::function<bool()>& condition, double seconds) {
  const double deadline = now_seconds() + seconds;
  while (!condition()) {
    if (now_seconds() > deadline) return false;
    nap(0.0002);
  }
  return true;
}

void nap(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

std::uint32_t repeats(Context& t, std::uint32_t full, std::uint32_t quick) {
  return t.settings().quick ? quick : full;
}

Words::Words(Context& t, std::uint32_t count, std::uint32_t value)
    : count_(count), buffer_(t, std::uint64_t{count} * 4) {
  write(std::vector<std::uint32_t>(count, value));
}

void Words::write(const std::vector<std::uint32_t>& values) { buffer_.write(bytes_of(values)); }

std::vector<std::uint32_t> Words::read() {
  const auto bytes = buffer_.read();
  std::vector<std::uint32_t> values(count_);
  std::memcpy(values.data(), bytes.data(), size_bytes());
  return values;
}

std::vector<std::uint32_t> random_words(Context& t, std::uint32_t count) {
  std::vector<std::uint32_t> values(count);
  for (auto& value : values) value = static_cast<std::uint32_t>(t.random()());
  return values;
}

void equal_words(Context& t, const std::vector<std::uint32_t>& actual,
                 const std::vector<std::uint32_t>& expected, const std::string& what,
                 std::source_location where) {
  t.equal_bytes(bytes_of(actual), bytes_of(expected), what, where);
}

Shape shape_for(Context& t, std::uint32_t count) {
  const std::uint32_t threads =
      std::min<std::uint32_t>({64, t.info().max_block_threads, t.info().max_block[0]});
  return {{(count + threads - 1) / threads, 1, 1}, {threads, 1, 1}};
}

void affine(Context& t, flagos_stream_t* stream, const Words& words, std::uint32_t multiply,
            std::uint32_t add) {
  const Shape shape = shape_for(t, words.count());
  launch(t, stream, t.kernel("tl_affine"), shape.grid, shape.block,
         {arg(words.at()), arg_u32(words.count()), arg_u32(multiply), arg_u32(add)});
}

void mix(Context& t, flagos_stream_t* stream, const Words& target, const Words& source,
         std::uint32_t multiply) {
  const Shape shape = shape_for(t, target.count());
  launch(t, stream, t.kernel("tl_mix"), shape.grid, shape.block,
         {arg(target.at()), arg(source.at()), arg_u32(target.count()), arg_u32(multiply)});
}

void store(Context& t, flagos_stream_t* stream, const Words& words, std::uint32_t index,
           std::uint32_t value) {
  launch(t, stream, t.kernel("tl_affine"), {1, 1, 1}, {1, 1, 1},
         {arg(words.at(index)), arg_u32(1), arg_u32(0), arg_u32(value)});
}

void labour(Context& t, flagos_stream_t* stream, const Words& words, std::uint32_t rounds,
            std::uint32_t value) {
  launch(t, stream, t.kernel("tl_labour"), {1, 1, 1}, {1, 1, 1},
         {arg(words.at()), arg_u32(rounds), arg_u32(value)});
}

bool stream_done(Context& t, flagos_stream_t* stream) {
  std::uint32_t complete = 7;
  t.ok(flagos_stream_query(stream, &complete), "a query of a healthy stream");
  t.check(complete <= 1, "a stream query answers 0 or 1");
  return complete == 1;
}

bool event_done(Context& t, flagos_event_t* event) {
  std::uint32_t complete = 7;
  t.ok(flagos_event_query(event, &complete), "a query of an event on healthy streams");
  t.check(complete <= 1, "an event query answers 0 or 1");
  return complete == 1;
}

namespace {

bool has_kernel(Context& t, const char* name) {
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.name = name;
  flagos_kernel_t* kernel = nullptr;
  return flagos_module_get_kernel(t.module(), &desc, &kernel) != FLAGOS_STATUS_NOT_FOUND;
}

}  // namespace

void queue_failure(Context& t, flagos_stream_t* stream) {
  if (!has_kernel(t, "tl_fail"))
    t.not_supported("the suite has no kernel for this format that fails on purpose");
  launch(t, stream, t.kernel("tl_fail"), {1, 1, 1}, {1, 1, 1},
         {arg_u32(FLAGOS_STATUS_EXECUTION_FAILED)});
}

void require_loss(Context& t) {
  const PluginLibrary library(t.settings().plugin_path);
  const PluginProbe probe(library);
  if (!slot_filled(slots_of(probe.plugin()), "device", "query_status"))
    t.not_supported("device.query_status is not filled: this plugin's devices are never lost");
  if (!has_kernel(t, "tl_lose"))
    t.not_supported("the suite has no kernel for this format that loses the device");
  t.kernel("tl_lose");
}

void queue_loss(Context& t, flagos_stream_t* stream) {
  launch(t, stream, t.kernel("tl_lose"), {1, 1, 1}, {1, 1, 1});
}

void lose_device(Context& t) {
  Stream stream(t);
  queue_loss(t, stream);
  t.status(flagos_stream_synchronize(stream, patience_ns), FLAGOS_STATUS_DEVICE_LOST,
           "wait for the kernel that ends the device");
}

OtherDevice::OtherDevice(Context& t) {
  t.ok(flagos_device_open(t.runtime(), t.info().index, &device_), "a second open of the device");
}

}  // namespace flagos::conformance
