// Opening devices: contexts of their own that never influence each other, and waits for all of
// their work.
#include <atomic>
#include <thread>

#include "conformance/cases/entries.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t a_minute = 60'000'000'000u;

// One more open of the device under test, closed at the end.
class Opened {
 public:
  explicit Opened(Context& t) : t_(t) {
    t.ok(flagos_device_open(t.runtime(), t.info().index, &device_), "open the device");
  }
  ~Opened() { flagos_device_close(device_); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  operator flagos_device_t*() const { return device_; }
  void close() {
    t_.ok(flagos_device_close(device_), "close the device");
    device_ = nullptr;
  }

 private:
  Context& t_;
  flagos_device_t* device_ = nullptr;
};

flagos_address_t address_of(const void* pointer) {
  return reinterpret_cast<flagos_address_t>(pointer);
}

// Sends `bytes` to an open device and back; "" when they arrive, else what failed. Any thread may
// call it.
std::string round_trip(flagos_device_t* device, const std::vector<std::uint8_t>& bytes) {
  flagos_stream_t* stream = nullptr;
  flagos_address_t memory = 0;
  const flagos_memory_desc_t desc{
      sizeof desc, FLAGOS_MEMORY_KIND_DEVICE, nullptr, bytes.size(), 0, 0};
  std::vector<std::uint8_t> back(bytes.size());
  const bool worked =
      flagos_stream_create(device, nullptr, &stream) == ok &&
      flagos_memory_alloc(device, &desc, &memory) == ok &&
      flagos_memory_copy(stream, memory, address_of(bytes.data()), bytes.size()) == ok &&
      flagos_memory_copy(stream, address_of(back.data()), memory, bytes.size()) == ok &&
      flagos_stream_synchronize(stream, a_minute) == ok;
  const bool freed =
      flagos_memory_free(device, memory) == ok && flagos_stream_destroy(stream) == ok;
  if (!worked || !freed) return std::string("a call fails: ") + flagos_last_error();
  return back == bytes ? "" : "the bytes that come back differ";
}

void check_round_trip(Context& t, flagos_device_t* device, const std::string& where) {
  const std::string problem = round_trip(device, t.random_bytes(10'000));
  t.check(problem.empty(), where + ": " + problem);
}

std::uint64_t free_bytes(Context& t, flagos_device_t* device) {
  std::uint64_t free = 0, total = 0;
  t.ok(flagos_device_query_memory(device, &free, &total), "query the memory");
  t.check(free <= total && total > 0, "free memory is at most all memory");
  return free;
}

bool stream_complete(Context& t, flagos_stream_t* stream) {
  std::uint32_t complete = 0;
  t.ok(flagos_stream_query(stream, &complete), "query a stream");
  return complete != 0;
}

}  // namespace

FLAGOS_CASE("dev.open_close.cycle", {.clause = "flagos_device_close",
                                     .oracle = Oracle::delta,
                                     .isolation = Isolation::own}) {
  const int cycles = t.settings().quick ? 40 : 200;
  Resources before{};
  for (int i = 0; i < cycles; ++i) {
    t.subcase("cycle " + std::to_string(i));
    Opened device(t);
    if (i % 10 == 0) check_round_trip(t, device, "the device of this cycle");
    device.close();
    if (i == cycles / 4) before = resources_now();
  }
  const Resources after = resources_now();
  t.equal(after.file_descriptors, before.file_descriptors, "open files");
  no_more_threads(t, before.threads);
  t.check(after.maps <= before.maps + 16, "mappings do not grow");
  t.smoke();
}

FLAGOS_CASE("dev.open.multi_ref",
            {.clause = "flagos_device_open: every open is a context of its own",
             .oracle = Oracle::code}) {
  Opened first(t), second(t);
  t.check(first != static_cast<flagos_device_t*>(second), "two opens give two handles");
  const flagos_memory_desc_t desc{sizeof desc, FLAGOS_MEMORY_KIND_DEVICE, nullptr, 4096, 0, 0};
  flagos_address_t memory = 0;
  t.ok(flagos_memory_alloc(first, &desc, &memory), "allocate on the first");
  t.status(flagos_memory_free(second, memory), FLAGOS_STATUS_INVALID_HANDLE,
           "free it on the second");
  flagos_stream_t* stream = nullptr;
  flagos_event_t* event = nullptr;
  t.ok(flagos_stream_create(first, nullptr, &stream), "a stream of the first");
  t.ok(flagos_event_create(second, nullptr, &event), "an event of the second");
  t.status(flagos_event_record(event, stream), FLAGOS_STATUS_INVALID_ARGUMENT,
           "record one on the other");
  t.ok(flagos_event_destroy(event), "destroy the event");
  t.status(flagos_device_close(first), FLAGOS_STATUS_BUSY, "close the first while it is in use");
  second.close();
  t.ok(flagos_stream_destroy(stream), "destroy the stream");
  t.ok(flagos_memory_free(first, memory), "free the memory");
  check_round_trip(t, first, "the first after the second was closed");
}

FLAGOS_CASE("dev.prop.mem_info", {.clause = "flagos_device_query_memory"}) {
  Opened device(t);
  const std::uint64_t size = std::min<std::uint64_t>(64 << 20, t.info().max_allocation_bytes / 4);
  const flagos_memory_desc_t desc{sizeof desc, FLAGOS_MEMORY_KIND_DEVICE, nullptr, size,
                                  0,           FLAGOS_MEMORY_FLAG_ZERO};
  flagos_address_t warm = 0, memory = 0;
  t.ok(flagos_memory_alloc(device, &desc, &warm), "allocate once");
  t.ok(flagos_memory_free(device, warm), "free it");
  t.ok(flagos_device_synchronize(device, a_minute), "let the release pass");
  // Others use the same memory: what is free is a moving number, so a few tries are granted.
  bool dropped = false, returned = false;
  for (int i = 0; i < 20 && !(dropped && returned); ++i) {
    const std::uint64_t before = free_bytes(t, device);
    t.ok(flagos_memory_alloc(device, &desc, &memory), "allocate");
    const std::uint64_t during = free_bytes(t, device);
    t.ok(flagos_memory_free(device, memory), "free");
    t.ok(flagos_device_synchronize(device, a_minute), "let the release pass");
    const std::uint64_t after = free_bytes(t, device);
    const std::uint64_t granule = 16 << 20;
    dropped = dropped || during + size <= before + granule;
    returned = returned || after + granule >= during + size;
  }
  t.check(dropped, "free memory drops by what was allocated");
  t.check(returned, "free memory comes back");
  t.smoke();
}

// There is no current device: what threads do on their own open devices never meets.
FLAGOS_CASE("dev.current.thread_local", {.clause = "design 2.6: no current device"}) {
  std::vector<std::unique_ptr<Opened>> devices;
  for (int i = 0; i < 4; ++i) devices.push_back(std::make_unique<Opened>(t));
  const int rounds = t.settings().quick ? 5 : 25;
  std::vector<std::vector<std::uint8_t>> data;
  for (int i = 0; i < 8; ++i) data.push_back(t.random_bytes(20'000 + static_cast<std::size_t>(i)));
  std::vector<std::string> problems(8);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      // Each thread uses two devices by turns; its neighbours use the same ones.
      for (int k = 0; k < rounds && problems[i].empty(); ++k)
        problems[i] = round_trip(*devices[(i + static_cast<std::size_t>(k)) % 4], data[i]);
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < 8; ++i)
    t.check(problems[i].empty(), "thread " + std::to_string(i) + ": " + problems[i]);
}

FLAGOS_CASE("dev.current.restore_on_error",
            {.clause = "flagos.h: Failure; no current device", .oracle = Oracle::code}) {
  Opened device(t), other(t);
  flagos_memory_desc_t impossible{
      sizeof impossible, FLAGOS_MEMORY_KIND_DEVICE, nullptr, UINT64_MAX, 0, 0};
  flagos_address_t memory = 0;
  flagos_stream_t* stream = nullptr;
  t.ok(flagos_stream_create(device, nullptr, &stream), "a stream");
  for (int i = 0; i < 10; ++i) {
    t.status(flagos_memory_alloc(other, &impossible, &memory), FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY,
             "fail on the other device");
    check_round_trip(t, device, "the device after a failure on the other");
    t.status(flagos_memory_copy(stream, 0, 0, 16), FLAGOS_STATUS_INVALID_ARGUMENT,
             "fail on the device");
    check_round_trip(t, other, "the other after a failure on the device");
  }
  t.ok(flagos_stream_destroy(stream), "destroy the stream");
}

FLAGOS_CASE("dev.sync.idle", {.clause = "flagos_device_synchronize", .oracle = Oracle::live}) {
  Opened device(t);
  for (const std::uint64_t timeout : {std::uint64_t{0}, std::uint64_t{1}, FLAGOS_TIMEOUT_INFINITE})
    t.ok(flagos_device_synchronize(device, timeout),
         "nothing is queued, timeout " + std::to_string(timeout));
  check_round_trip(t, device, "work after an idle wait");
  for (const std::uint64_t timeout : {std::uint64_t{0}, FLAGOS_TIMEOUT_INFINITE})
    t.ok(flagos_device_synchronize(device, timeout),
         "all is done, timeout " + std::to_string(timeout));
}

FLAGOS_CASE("dev.sync.covers_all_streams",
            {.clause = "flagos_device_synchronize", .oracle = Oracle::order}) {
  const flagos_device_info_t& info = t.info();
  Stream first(t), second(t, info.priority_high), third(t, info.priority_low);
  flagos_stream_t* const streams[] = {first, second, third};
  Buffer buffer(t, 3 * 4096);
  for (int blocked = 0; blocked < 3; ++blocked) {
    t.subcase("stream " + std::to_string(blocked) + " is held up");
    Blocker blocker(t, streams[blocked]);
    std::vector<std::uint8_t> bytes;
    for (int i = 0; i < 3; ++i) {
      const auto value = static_cast<std::uint8_t>(t.random_below(256));
      t.ok(flagos_memory_fill(streams[i], buffer.address(static_cast<std::uint64_t>(i) * 4096),
                              &value, 1, 4096),
           "queue a fill");
      bytes.insert(bytes.end(), 4096, value);
    }
    t.status(flagos_device_synchronize(t.device(), 0), FLAGOS_STATUS_TIMEOUT,
             "poll while one stream is held up");
    t.status(flagos_device_synchronize(t.device(), 1'000'000), FLAGOS_STATUS_TIMEOUT,
             "wait a moment while one stream is held up");
    blocker.release();
    t.ok(flagos_device_synchronize(t.device(), a_minute), "wait for all");
    for (flagos_stream_t* const stream : streams)
      t.check(stream_complete(t, stream), "every stream is complete");
    t.equal_bytes(buffer.read(), bytes, "the fills");
  }
}

FLAGOS_CASE("dev.reset.contract", {.clause = "flagos_device_recover",
                                   .level = Level::optional,
                                   .oracle = Oracle::code,
                                   .feature = "recover"}) {
  t.require(FLAGOS_FEATURE_RECOVER);
  Opened device(t);
  flagos_stream_t* stream = nullptr;
  t.ok(flagos_stream_create(device, nullptr, &stream), "a stream");
  for (int i = 0; i < 3; ++i) {
    t.ok(flagos_device_recover(device), "on a device that is not lost it does nothing");
    t.ok(flagos_device_query_status(device), "the device works");
    t.ok(flagos_stream_synchronize(stream, a_minute), "its objects live on");
    check_round_trip(t, device, "work afterwards");
  }
  t.ok(flagos_stream_destroy(stream), "destroy the stream");
}

}  // namespace flagos::conformance
