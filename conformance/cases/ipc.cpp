// Memory and events that several processes use.
#include <algorithm>
#include <array>
#include <cstring>

#include "conformance/cases/ipc_support.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_handle = FLAGOS_STATUS_INVALID_HANDLE;
constexpr std::uint64_t a_minute = 60'000'000'000u;
constexpr std::uint64_t size = 100'000;

// Imports here; freed in the destructor.
struct Import {
  Import(Context& the_case, const External& external) : t(the_case) {
    t.ok(flagos_memory_import(t.device(), &external.value(), &address, &bytes), "import memory");
  }
  ~Import() { flagos_memory_free(t.device(), address); }
  Import(const Import&) = delete;
  Import& operator=(const Import&) = delete;
  Context& t;
  flagos_address_t address = 0;
  std::uint64_t bytes = 0;
};

void refused(Context& t, const flagos_external_t& external, const std::string& what) {
  flagos_address_t address = 1;
  t.status(flagos_memory_import(t.device(), &external, &address, nullptr), invalid_handle, what);
  t.equal(address, 0, "nothing is mapped");
}

void same(Context& t, flagos_address_t address, std::uint64_t seed, const std::string& what) {
  t.equal_bytes(read_memory(t, address, size), pattern(seed, size), what);
}

}  // namespace

#define IPC_EVENT                                                                 \
  .clause = "flagos_event_export, flagos_event_import", .level = Level::optional, \
  .oracle = Oracle::order, .isolation = Isolation::multi, .feature = "export_event"

FLAGOS_CASE("ipc.mem.basic", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Follower other(t.settings());
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  const Message imported = ask(t, other, order(Order::import_memory, external.value()));
  t.equal(imported.size, size, "size of the import");
  ask(t, other, order(Order::check, imported.address, seed, size));
  ask(t, other, order(Order::write, imported.address, seed + 1, size));
  same(t, mine.address(), seed + 1, "what the other process wrote");
  // And the other way round.
  const External theirs(ask(t, other, order(Order::export_memory, 0, seed + 2, size)).external);
  const Import here(t, theirs);
  t.equal(here.bytes, size, "size of the import");
  same(t, here.address, seed + 2, "what the other process exports");
}

FLAGOS_CASE("ipc.mem.suballoc_offset", {IPC_MEMORY}) {
  Exportable mine(t, size, t.random()());
  for (const std::uint64_t offset : {std::uint64_t{1}, std::uint64_t{256}, size - 1}) {
    t.subcase("offset " + std::to_string(offset));
    flagos_external_t external{};
    external.struct_size = sizeof external;
    t.status(flagos_memory_export(t.device(), mine.address() + offset, &external), invalid_handle,
             "the inside of an allocation is not exported");
    t.check(external.fd == -1, "there is no descriptor");
  }
  const External external(t, mine.address());
  const Import here(t, external);
  t.equal_bytes(read_memory(t, here.address + 256, 4096),
                read_memory(t, mine.address() + 256, 4096), "offsets are the same on both sides");
  const auto bytes = pattern(1, 64);
  write_memory(t, here.address + 777, bytes);
  t.equal_bytes(read_memory(t, mine.address() + 777, 64), bytes, "what was written at an offset");
}

FLAGOS_CASE("ipc.mem.open_twice", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Follower other(t.settings());
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  const Message first = ask(t, other, order(Order::import_memory, external.value()));
  const Message second = ask(t, other, order(Order::import_memory, external.value()));
  t.check(first.address != second.address, "each import has an address of its own");
  ask(t, other, order(Order::write, first.address, seed + 1, size));
  ask(t, other, order(Order::check, second.address, seed + 1, size));
  ask(t, other, order(Order::free_memory, first.address));
  ask(t, other, order(Order::check, second.address, seed + 1, size));
  same(t, mine.address(), seed + 1, "the exporter's bytes");
}

FLAGOS_CASE("ipc.mem.close_twice", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Follower other(t.settings());
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  const Message imported = ask(t, other, order(Order::import_memory, external.value()));
  ask(t, other, order(Order::check, imported.address, seed, size));
  ask(t, other, order(Order::free_memory, imported.address));
  ask(t, other, order(Order::free_memory, imported.address), invalid_handle);
  same(t, mine.address(), seed, "the exporter's bytes");
}

FLAGOS_CASE("ipc.mem.open_in_exporter", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  const Import here(t, external);
  t.check(here.address != mine.address(), "an import has an address of its own");
  same(t, here.address, seed, "the import shows the bytes");
  write_memory(t, here.address, pattern(seed + 1, size));
  same(t, mine.address(), seed + 1, "what was written through the import");
}

FLAGOS_CASE("ipc.mem.exporter_frees_first", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Follower other(t.settings());
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  const Message imported = ask(t, other, order(Order::import_memory, external.value()));
  mine.free();
  Exportable next(t, size, seed + 1);  // perhaps in the same place
  ask(t, other, order(Order::check, imported.address, seed, size));
  ask(t, other, order(Order::write, imported.address, seed + 2, size));
  same(t, next.address(), seed + 1, "other memory is not what the importer writes to");
  ask(t, other, order(Order::import_memory, external.value()), invalid_handle);
}

FLAGOS_CASE("ipc.mem.exporter_dies", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Follower other(t.settings());
  const External theirs(ask(t, other, order(Order::export_memory, 0, seed, size)).external);
  const Import here(t, theirs);
  other.kill();
  same(t, here.address, seed, "the bytes outlive their exporter");
  write_memory(t, here.address, pattern(seed + 1, size));
  same(t, here.address, seed + 1, "they can be written");
  t.smoke();
}

FLAGOS_CASE("ipc.mem.importer_dies", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Follower other(t.settings());
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  const Message imported = ask(t, other, order(Order::import_memory, external.value()));
  ask(t, other, order(Order::write, imported.address, seed + 1, size));
  other.kill();
  same(t, mine.address(), seed + 1, "what the importer wrote before it died");
  mine.free();
  t.smoke();
}

FLAGOS_CASE("ipc.mem.forged_handle", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  for (int i = 0; i < 64; ++i) {
    t.subcase("forgery " + std::to_string(i));
    flagos_external_t forged = external.value();
    forged.blob[t.random_below(sizeof forged.blob)] ^=
        static_cast<std::uint8_t>(1 << t.random_below(8));
    refused(t, forged, "one bit is another");
    const auto noise = t.random_bytes(sizeof forged.blob);
    std::copy(noise.begin(), noise.end(), forged.blob);
    refused(t, forged, "random bytes");
    std::memcpy(forged.blob, external.value().blob, 1 + t.random_below(100));
    refused(t, forged, "a good beginning");
    forged = external.value();
    forged.fd = std::array{-1, 0, 1, 2, 1'000'000}[t.random_below(5)];
    refused(t, forged, "another descriptor");
  }
  const Import here(t, external);
  same(t, here.address, seed, "the true one still works");
}

FLAGOS_CASE("ipc.mem.stale_handle", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Exportable mine(t, size, seed);
  const External stale(t, mine.address());
  mine.free();
  refused(t, stale.value(), "an export of freed memory");
  Exportable next(t, size, seed + 1);
  refused(t, stale.value(), "also when the place is used again");
  const External fresh(t, next.address());
  flagos_external_t mixed = stale.value();
  mixed.fd = fresh.value().fd;
  refused(t, mixed, "an old blob with a new descriptor");
  const Import here(t, fresh);
  same(t, here.address, seed + 1, "the new one works");
}

FLAGOS_CASE("ipc.mem.many", {IPC_MEMORY}) {
  const std::uint64_t count = t.settings().quick ? 100 : 1000;
  const std::uint64_t seed = t.random()();
  Exportable mine(t, 4096, seed);
  const auto cycle = [&] {
    const External external(t, mine.address());
    const Import here(t, external);
    t.equal_bytes(read_memory(t, here.address, 4096), pattern(seed, 4096), "the bytes");
  };
  cycle();
  const Resources before = resources_now();
  for (std::uint64_t i = 0; i < count; ++i) cycle();
  t.equal(resources_now().file_descriptors, before.file_descriptors, "descriptors afterwards");
}

FLAGOS_CASE("ipc.concurrent_open_close", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  std::vector<std::unique_ptr<Follower>> others;
  const std::size_t processes = t.settings().quick ? 3 : 8;
  for (std::size_t i = 0; i < processes; ++i)
    others.push_back(std::make_unique<Follower>(t.settings()));
  Message cycles = order(Order::cycles, external.value());
  cycles.size = t.settings().quick ? 50 : 1000;
  for (const auto& other : others) t.check(other->send(cycles), "the order arrives");
  for (const auto& other : others) {
    Message answer;
    t.check(other->receive(answer), "the process answers");
    t.status(answer.status, ok, "imports and frees");
  }
  same(t, mine.address(), seed, "the exporter's bytes");
  const Message imported = ask(t, *others[0], order(Order::import_memory, external.value()));
  ask(t, *others[0], order(Order::check, imported.address, seed, size));
}

FLAGOS_CASE("ipc.fork_exec_chain", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  Follower other(t.settings());
  Message message = order(Order::forward, external.value());
  message.seed = seed;
  message.size = size;
  ask(t, other, message);
  same(t, mine.address(), seed, "the exporter's bytes");
}

namespace {

struct SharedEvent {
  explicit SharedEvent(Context& t)
      : owner(t, FLAGOS_EVENT_FLAG_NO_TIMING | FLAGOS_EVENT_FLAG_EXPORTABLE), external(t, owner) {}
  Event owner;
  External external;
};

}  // namespace

FLAGOS_CASE("ipc.event.basic", {IPC_EVENT}) {
  t.require(FLAGOS_FEATURE_EXPORT_MEMORY);
  const std::uint64_t seed = t.random()();
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  SharedEvent event(t);
  Follower other(t.settings());
  const Message imported = ask(t, other, order(Order::import_memory, external.value()));
  ask(t, other, order(Order::import_event, event.external.value()));
  // Recorded here, behind work that is held up; waited for there.
  Stream stream(t);
  const auto bytes = pattern(seed + 1, size);
  {
    Blocker blocker(t, stream);
    t.ok(flagos_memory_copy(stream, mine.address(),
                            reinterpret_cast<flagos_address_t>(bytes.data()), size),
         "queue a copy");
    t.ok(flagos_event_record(event.owner, stream), "record behind it");
    t.equal(ask(t, other, order(Order::query)).address, 0, "not complete in the other process");
    t.check(other.send(order(Order::wait, imported.address, seed + 1, size)), "the order arrives");
    blocker.release();
  }
  Message answer;
  t.check(other.receive(answer), "the other process answers");
  t.status(answer.status, ok, "it saw what was written before the record");
  stream.synchronize();
  // Recorded there, waited for here.
  ask(t, other, order(Order::record, imported.address, seed + 2, size));
  t.ok(flagos_stream_wait_event(stream, event.owner), "wait on a stream");
  std::vector<std::uint8_t> seen(size);
  t.ok(flagos_memory_copy(stream, reinterpret_cast<flagos_address_t>(seen.data()), mine.address(),
                          size),
       "copy behind the wait");
  stream.synchronize();
  t.equal_bytes(seen, pattern(seed + 2, size), "what the other process wrote before its record");
}

FLAGOS_CASE("ipc.event.dead_signaller", {IPC_EVENT}) {
  Follower other(t.settings());
  const External theirs(ask(t, other, order(Order::export_event)).external);
  flagos_event_t* event = nullptr;
  t.ok(flagos_event_import(t.device(), &theirs.value(), &event), "import the event");
  ask(t, other, order(Order::record_blocked));
  std::uint32_t complete = 1;
  const flagos_status_t queried = flagos_event_query(event, &complete);
  Stream stream(t);
  const flagos_status_t queued = flagos_stream_wait_event(stream, event);
  other.kill();
  const flagos_status_t waited = flagos_event_synchronize(event, a_minute);
  const flagos_status_t passed = flagos_stream_synchronize(stream, a_minute);
  flagos_event_destroy(event);
  t.status(queried, ok, "a query while the other process lives");
  t.equal(complete, 0, "its record is not complete");
  t.status(queued, ok, "queue a wait");
  t.status(waited, FLAGOS_STATUS_CANCELLED, "a wait for a record that nobody will complete");
  t.status(passed, FLAGOS_STATUS_CANCELLED, "the stream that waits for it");
  t.ok(flagos_stream_reset(stream), "reset the stream");
  t.smoke();
}

}  // namespace flagos::conformance
