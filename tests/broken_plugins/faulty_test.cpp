// Plugins that load and misbehave while they are used: what core makes of it.
#include <doctest/doctest.h>
#include <flagos.h>

#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr std::uint64_t a_moment = 50'000'000, a_minute = 60'000'000'000;

// A plugin of the zoo with its one device open, and the validation layer on.
class Faulty {
 public:
  explicit Faulty(const std::string& name) {
    flagos_runtime_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.abi_version = FLAGOS_ABI_VERSION;
    desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
    desc.layers = "validation";
    const std::string file = std::string(FLAGOS_ZOO) + "/libflagos_plugin_" + name + ".so";
    REQUIRE(flagos_runtime_create(&desc, &runtime_) == FLAGOS_STATUS_OK);
    REQUIRE_MESSAGE(flagos_runtime_add_plugin(runtime_, file.c_str()) == FLAGOS_STATUS_OK,
                    std::string(flagos_last_error()));
    REQUIRE(flagos_device_open(runtime_, 0, &device_) == FLAGOS_STATUS_OK);
  }
  ~Faulty() { CHECK(flagos_runtime_destroy(runtime_) == FLAGOS_STATUS_OK); }
  Faulty(const Faulty&) = delete;
  Faulty& operator=(const Faulty&) = delete;

  flagos_runtime_t* runtime() const { return runtime_; }
  flagos_device_t* device() const { return device_; }
  flagos_stream_t* stream() const {
    flagos_stream_t* stream = nullptr;
    REQUIRE_MESSAGE(flagos_stream_create(device_, nullptr, &stream) == FLAGOS_STATUS_OK,
                    std::string(flagos_last_error()));
    return stream;
  }
  flagos_status_t allocate(std::uint64_t size, flagos_address_t* out) const {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = size;
    return flagos_memory_alloc(device_, &desc, out);
  }
  flagos_address_t memory(std::uint64_t size = 256) const {
    flagos_address_t address = 0;
    REQUIRE_MESSAGE(allocate(size, &address) == FLAGOS_STATUS_OK, std::string(flagos_last_error()));
    return address;
  }
  // A fill and a copy to the host give what was filled in.
  void check_copies(flagos_stream_t* stream) const {
    const flagos_address_t source = memory();
    const std::uint32_t value = 0x5eed;
    std::uint32_t found = 0;
    CHECK(flagos_memory_fill(stream, source, &value, 4, 256) == FLAGOS_STATUS_OK);
    CHECK(flagos_memory_copy(stream, reinterpret_cast<std::uintptr_t>(&found), source + 252, 4) ==
          FLAGOS_STATUS_OK);
    CHECK(flagos_stream_synchronize(stream, a_minute) == FLAGOS_STATUS_OK);
    CHECK(found == value);
    CHECK(flagos_memory_free(device_, source) == FLAGOS_STATUS_OK);
  }

 private:
  flagos_runtime_t* runtime_ = nullptr;
  flagos_device_t* device_ = nullptr;
};

void protocol(flagos_status_t status, const char* part) {
  CHECK(status == FLAGOS_STATUS_PLUGIN_PROTOCOL);
  CHECK_MESSAGE(std::string(flagos_last_error()).find(part) != std::string::npos,
                std::string(flagos_last_error()));
}

}  // namespace

TEST_CASE("the plugin without a fault works") {
  const Faulty f("faultless");
  flagos_stream_t* const stream = f.stream();
  f.check_copies(stream);
  CHECK(flagos_stream_destroy(stream) == FLAGOS_STATUS_OK);
}

TEST_CASE("a status that nobody knows is PLUGIN_PROTOCOL, and names the slot") {
  const Faulty f("unknown_status");
  flagos_stream_t* const stream = f.stream();
  flagos_stream_t* other = stream;
  flagos_status_t made = FLAGOS_STATUS_OK;
  for (int i = 0; i < 4 && made == FLAGOS_STATUS_OK; ++i)
    made = flagos_stream_create(f.device(), nullptr, &other);
  protocol(made, "stream.create");
  CHECK(other == nullptr);
  flagos_address_t none = 1;
  protocol(f.allocate(13, &none), "memory.alloc");
  CHECK(none == 0);
  flagos_event_t* event = nullptr;
  REQUIRE(flagos_event_create(f.device(), nullptr, &event) == FLAGOS_STATUS_OK);
  CHECK(flagos_event_record(event, stream) == FLAGOS_STATUS_OK);
  protocol(flagos_event_synchronize(event, a_moment), "FLAGOS_STATUS_PLUGIN_PROTOCOL");
  const flagos_address_t memory = f.memory();
  protocol(flagos_memory_copy(stream, memory, memory + 128, 64), "0x7f123456");
  CHECK(flagos_event_destroy(event) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(f.device(), memory) == FLAGOS_STATUS_OK);
}

TEST_CASE("an object that was given already is found by the validation layer, memory always") {
  const Faulty f("same_object");
  flagos_stream_t* const stream = f.stream();
  flagos_stream_t* second = stream;
  protocol(flagos_stream_create(f.device(), nullptr, &second), "twice from stream.create");
  CHECK(second == nullptr);
  flagos_event_t *event = nullptr, *other = nullptr;
  REQUIRE(flagos_event_create(f.device(), nullptr, &event) == FLAGOS_STATUS_OK);
  protocol(flagos_event_create(f.device(), nullptr, &other), "twice from event.create");
  const flagos_address_t memory = f.memory(512);
  flagos_address_t again = 1;
  protocol(f.allocate(512, &again), "inside a live allocation");
  CHECK(again == 0);
  flagos_module_desc_t image{};
  image.struct_size = sizeof(image);
  image.format = "abi-history";
  image.data = "any";
  image.size_bytes = 3;
  flagos_module_t *module = nullptr, *other_module = nullptr;
  REQUIRE_MESSAGE(flagos_module_load(f.device(), &image, &module) == FLAGOS_STATUS_OK,
                  std::string(flagos_last_error()));
  protocol(flagos_module_load(f.device(), &image, &other_module), "twice from module.load");
  CHECK(other_module == nullptr);
  flagos_kernel_desc_t wanted{};
  wanted.struct_size = sizeof(wanted);
  wanted.name = "one";
  flagos_kernel_t *kernel = nullptr, *other_kernel = nullptr;
  REQUIRE(flagos_module_get_kernel(module, &wanted, &kernel) == FLAGOS_STATUS_OK);
  wanted.name = "two";
  protocol(flagos_module_get_kernel(module, &wanted, &other_kernel), "for 'one' and for 'two'");
  CHECK(other_kernel == nullptr);
  CHECK(flagos_module_unload(module) == FLAGOS_STATUS_OK);
  // Once the first one is gone, it is another.
  CHECK(flagos_stream_destroy(stream) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_destroy(f.stream()) == FLAGOS_STATUS_OK);
  CHECK(flagos_event_destroy(event) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(f.device(), memory) == FLAGOS_STATUS_OK);
}

TEST_CASE("OK without an object, and memory that is not aligned, are refused") {
  const Faulty f("no_object");
  flagos_stream_t* stream = nullptr;
  protocol(flagos_stream_create(f.device(), nullptr, &stream), "no object");
  flagos_event_t* event = nullptr;
  protocol(flagos_event_create(f.device(), nullptr, &event), "event.create");
  flagos_address_t memory = 1;
  protocol(f.allocate(256, &memory), "aligned");
  CHECK(memory == 0);
}

TEST_CASE("what a device was at first rules, whatever the plugin says later") {
  const Faulty f("changing_info");
  flagos_device_info_t described{}, opened{};
  described.struct_size = opened.struct_size = sizeof(described);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(flagos_device_describe(f.runtime(), 0, &described) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_device_get_info(f.device(), &opened) == FLAGOS_STATUS_OK);
    CHECK(std::string(opened.name) == "host memory of ABI 1.0");
    CHECK(std::memcmp(&described, &opened, sizeof(opened)) == 0);
    // Another opening is of the same device.
    flagos_device_t* again = nullptr;
    REQUIRE(flagos_device_open(f.runtime(), 0, &again) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_device_get_info(again, &opened) == FLAGOS_STATUS_OK);
    CHECK(std::memcmp(&described, &opened, sizeof(opened)) == 0);
    CHECK(flagos_device_close(again) == FLAGOS_STATUS_OK);
  }
}

TEST_CASE("host services bear bad arguments, from a thread of the plugin and from within a call") {
  const Faulty f("calls_host");
  flagos_stream_t* const stream = f.stream();
  for (int i = 0; i < 100; ++i) f.check_copies(stream);
  CHECK(flagos_stream_destroy(stream) == FLAGOS_STATUS_OK);
}

TEST_CASE("work that is never done: waits end with TIMEOUT, and so does everything else") {
  flagos_status_t closed = FLAGOS_STATUS_OK;
  {
    const Faulty f("never_done");
    flagos_stream_t* const stream = f.stream();
    flagos_event_t* event = nullptr;
    REQUIRE(flagos_event_create(f.device(), nullptr, &event) == FLAGOS_STATUS_OK);
    CHECK(flagos_event_record(event, stream) == FLAGOS_STATUS_OK);
    CHECK(flagos_stream_synchronize(stream, a_moment) == FLAGOS_STATUS_TIMEOUT);
    CHECK(flagos_event_synchronize(event, a_moment) == FLAGOS_STATUS_TIMEOUT);
    CHECK(flagos_device_synchronize(f.device(), a_moment) == FLAGOS_STATUS_TIMEOUT);
    std::uint32_t complete = 1;
    CHECK(flagos_event_query(event, &complete) == FLAGOS_STATUS_OK);
    CHECK(complete == 0);
    // Somebody waits without end: the end of the stream lets go of them.
    std::thread waiter(
        [&] { closed = flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(flagos_stream_destroy(stream) == FLAGOS_STATUS_OK);
    waiter.join();
    CHECK(flagos_event_destroy(event) == FLAGOS_STATUS_OK);
  }
  CHECK(closed == FLAGOS_STATUS_CANCELLED);
}

TEST_CASE("work that is done late, by lot, is done in the order that was asked for") {
  const char* const told = std::getenv("FLAGOS_LATE_SEED");
  const std::string seed = told != nullptr ? told : std::to_string(std::random_device{}());
  ::setenv("FLAGOS_LATE_SEED", seed.c_str(), 1);
  INFO("FLAGOS_LATE_SEED=" << seed);
  const Faulty f("late");
  flagos_stream_t *const writer = f.stream(), *const reader = f.stream();
  flagos_event_t *written = nullptr, *read = nullptr;
  REQUIRE(flagos_event_create(f.device(), nullptr, &written) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_create(f.device(), nullptr, &read) == FLAGOS_STATUS_OK);
  const flagos_address_t memory = f.memory();
  std::array<std::uint32_t, 200> found{};
  // One word is written by one stream and read by the other, in turn.
  for (std::uint32_t i = 0; i < found.size(); ++i) {
    const std::uint32_t value = i + 1;
    CHECK(flagos_memory_fill(writer, memory, &value, 4, 256) == FLAGOS_STATUS_OK);
    CHECK(flagos_event_record(written, writer) == FLAGOS_STATUS_OK);
    CHECK(flagos_stream_wait_event(reader, written) == FLAGOS_STATUS_OK);
    CHECK(flagos_memory_copy(reader, reinterpret_cast<std::uintptr_t>(&found[i]), memory + 252,
                             4) == FLAGOS_STATUS_OK);
    CHECK(flagos_event_record(read, reader) == FLAGOS_STATUS_OK);
    CHECK(flagos_stream_wait_event(writer, read) == FLAGOS_STATUS_OK);
    if (i % 50 == 0) CHECK(flagos_event_synchronize(read, a_minute) == FLAGOS_STATUS_OK);
  }
  CHECK(flagos_stream_synchronize(writer, a_minute) == FLAGOS_STATUS_OK);
  for (std::uint32_t i = 0; i < found.size(); ++i) CHECK(found[i] == i + 1);
  for (flagos_stream_t* const stream : {writer, reader})
    CHECK(flagos_stream_destroy(stream) == FLAGOS_STATUS_OK);
  for (flagos_event_t* const event : {written, read})
    CHECK(flagos_event_destroy(event) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(f.device(), memory) == FLAGOS_STATUS_OK);
}

TEST_CASE(
    "what a plugin changes of the process while it is opened or closed is told, with its file") {
  static std::vector<std::string> lines;
  sigset_t mask;
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &mask) == 0);
  const std::filesystem::path folder = std::filesystem::current_path();
  REQUIRE(flagos_set_log_callback(
              [](void*, flagos_log_level_t, const char* text) { lines.emplace_back(text); },
              nullptr, FLAGOS_LOG_LEVEL_WARNING) == FLAGOS_STATUS_OK);
  { const Faulty f("mannerless"); }
  REQUIRE(flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_WARNING) == FLAGOS_STATUS_OK);
  std::fesetround(FE_TONEAREST);
  std::filesystem::current_path(folder);
  ::signal(SIGUSR2, SIG_DFL);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &mask, nullptr) == 0);
  const auto told = [](const std::string& what, const std::string& phase) {
    return std::count_if(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find("libflagos_plugin_mannerless.so changed " + what + " from '") !=
                 std::string::npos &&
             line.ends_with("' while it was " + phase);
    });
  };
  CHECK(told("the working directory", "opened") == 1);
  CHECK(told("the blocked signals", "opened") == 1);
  CHECK(told("the handler of signal " + std::to_string(SIGUSR2), "opened") == 1);
  CHECK(told("the rounding mode", "closed") == 1);
  CHECK(lines.size() == 4);
}

TEST_CASE("a wait of the plugin that does not look at its timeout holds up nobody else") {
  const Faulty f("deaf_wait");
  flagos_stream_t *const slow = f.stream(), *const other = f.stream();
  const flagos_address_t first = f.memory(14);  // from here on the plugin's waits do not end
  std::atomic<bool> waiting{false}, woken{false};
  std::thread waiter([&] {
    waiting = true;
    flagos_stream_synchronize(slow, 1);
    woken = true;
  });
  while (!waiting) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const flagos_address_t memory = f.memory();
  const std::uint32_t value = 7;
  CHECK(flagos_memory_fill(other, memory, &value, 4, 256) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_copy(other, memory, memory + 128, 64) == FLAGOS_STATUS_OK);
  flagos_stream_t* const third = f.stream();
  CHECK_FALSE(woken);
  const flagos_address_t last = f.memory(13);  // with which they do
  waiter.join();
  for (flagos_stream_t* const stream : {slow, other, third})
    CHECK(flagos_stream_destroy(stream) == FLAGOS_STATUS_OK);
  for (const flagos_address_t address : {memory, first, last})
    CHECK(flagos_memory_free(f.device(), address) == FLAGOS_STATUS_OK);
}
