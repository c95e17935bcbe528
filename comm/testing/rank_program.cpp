// One rank in a process of its own, for tests that start, kill and stop ranks.
//
// usage: flagos_comm_rank RANK SIZE DEVICE SCENARIO [ARGUMENT...], FLAGOS_COMM_ID in hex, or
// the variables of a launcher
//   random SEED COUNT MOST          so many random operations of at most MOST elements
//   windows SEED COUNT MOST         so many rounds of puts, signals and gets of at most MOST bytes
//   kill VICTIM AFTER COUNT         as above; VICTIM kills itself when AFTER operations are queued
//   stop VICTIM AFTER COUNT         VICTIM stops itself
//   leave VICTIM AFTER COUNT        VICTIM destroys its communicator and ends
//   mismatch VICTIM AFTER COUNT     VICTIM asks for one element more
//   fault ACTION PHASE VICTIM       see faults.hpp; phase joining: before or while the ranks meet
// Prints one line: "ok", or "status=NAME ms=N late=N text=TEXT"; late as lateness.hpp says.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>

#include "comm/testing/cases.hpp"
#include "comm/testing/faults.hpp"

using namespace flagos::comm::testing;

namespace {

flagos_comm_unique_id_t id_from_environment() {
  flagos_comm_unique_id_t id{};
  const char* const text = std::getenv("FLAGOS_COMM_ID");
  for (std::size_t i = 0;
       text != nullptr && i < sizeof(id.bytes) && std::strlen(text) >= 2 * (i + 1); ++i) {
    const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
    id.bytes[i] = static_cast<std::uint8_t>(std::strtoul(digits, nullptr, 16));
  }
  return id;
}

int report(flagos_status_t status, const Span& span, const std::string& text) {
  std::printf("status=%s ms=%llu late=%llu text=%s\n", flagos_status_get_name(status),
              static_cast<unsigned long long>(span.ms()),
              static_cast<unsigned long long>(span.late_ms()), text.c_str());
  return 3;
}

struct Scenario {
  std::uint32_t rank, size;
  RankDevice& device;
  flagos_comm_t* comm;
  char** arguments;
  const Lateness& lateness;

  std::uint64_t number(int index) const { return std::strtoull(arguments[index], nullptr, 10); }

  int random() const {
    std::mt19937_64 generator(number(0));
    for (std::uint64_t i = 0; i < number(1); ++i) {
      RankCase test(random_case(generator, size, number(2)), rank, size, device);
      check(test.call(comm));
      check(device.synchronize());
      if (const std::string wrong = test.verify(); !wrong.empty()) {
        std::printf("%s\n", wrong.c_str());
        return 1;
      }
    }
    std::printf("ok\n");
    return 0;
  }

  // Each rank puts bytes into a window of another one, which looks at them when it has the signal, and gets them back.
  int windows() const {
    const std::uint64_t most = number(2);
    std::mt19937_64 generator(number(0));
    const flagos_address_t shared = device.alloc(most * size), own = device.alloc(most);
    flagos_comm_window_t window = 0;
    check(flagos_comm_window_create(comm, shared, most * size, &window));
    const auto pattern = [](std::uint64_t salt, std::uint64_t bytes) {
      std::vector<std::byte> result(bytes);
      for (std::uint64_t i = 0; i < bytes; ++i) result[i] = static_cast<std::byte>(salt + i * 7);
      return result;
    };
    for (std::uint64_t round = 0; round < number(1); ++round) {
      const std::uint64_t bytes = 1 + generator() % most;
      const auto shift = static_cast<std::uint32_t>(generator() % size);
      const std::uint32_t to = (rank + shift) % size, from = (rank + size - shift) % size;
      device.upload(own, pattern(round + rank, bytes));
      check(flagos_comm_put(comm, device.stream(), window, to, rank * most, own, bytes));
      check(flagos_comm_signal(comm, device.stream(), to));
      check(flagos_comm_wait_signal(comm, device.stream(), from, 1));
      if (device.download(shared + from * most, bytes) != pattern(round + from, bytes)) {
        std::printf("round %d: wrong bytes came from rank %u\n", static_cast<int>(round), from);
        return 1;
      }
      check(flagos_comm_barrier(comm, device.stream()));
      check(flagos_comm_get(comm, device.stream(), window, to, to * most, own, 1));
      check(flagos_comm_get(comm, device.stream(), window, to, rank * most, own, bytes));
      if (device.download(own, bytes) != pattern(round + rank, bytes)) {
        std::printf("round %d: wrong bytes were got from rank %u\n", static_cast<int>(round), to);
        return 1;
      }
    }
    check(flagos_comm_window_destroy(comm, window));
    device.free(shared);
    device.free(own);
    std::printf("ok\n");
    return 0;
  }

  // The same operation until something happens; `act` is what the victim does.
  template <typename Act>
  int until_failure(Act&& act) const {
    const std::uint64_t victim = number(0), after = number(1), most = number(2);
    const bool is_victim = rank == victim;
    constexpr std::uint64_t count = 50000;
    const flagos_address_t buffer = device.alloc((count + 1) * 4);
    Span waited(lateness);
    flagos_status_t status = FLAGOS_STATUS_OK;
    for (std::uint64_t i = 0; i < most && status == FLAGOS_STATUS_OK; ++i) {
      std::uint64_t elements = count;
      if (is_victim && i == after) act(elements);
      waited.restart();
      status = flagos_comm_all_reduce(comm, device.stream(), buffer, buffer, elements,
                                      FLAGOS_DTYPE_FLOAT32, FLAGOS_COMM_REDUCTION_SUM);
      if (status == FLAGOS_STATUS_OK) status = device.synchronize();
    }
    device.free(buffer);
    if (status == FLAGOS_STATUS_OK) {
      std::printf("ok\n");
      return 0;
    }
    flagos_status_t found = FLAGOS_STATUS_OK;
    flagos_comm_query_status(comm, &found);
    return report(found, waited, found == FLAGOS_STATUS_OK ? "" : flagos_last_error());
  }
};

int run(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: flagos_comm_rank RANK SIZE DEVICE SCENARIO [ARGUMENT...]\n");
    return 2;
  }
  const auto rank = static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10));
  const auto size = static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 10));
  RankDevice device(argv[3]);
  const std::string name = argv[4];
  const flagos_comm_unique_id_t id = id_from_environment();
  const Lateness lateness;
  const Span joining(lateness);
  const bool has_fault = name == "fault" && argc == 8;
  const Fault fault =
      has_fault
          ? Fault{argv[5], argv[6], static_cast<std::uint32_t>(std::strtoul(argv[7], nullptr, 10))}
          : Fault{};
  if (fault.phase == "joining" && fault.victim == rank) fault.happen_soon();
  flagos_comm_t* comm = nullptr;
  const bool by_launcher = std::getenv("FLAGOS_COMM_ID") == nullptr;
  const flagos_status_t status =
      by_launcher ? flagos_comm_create_from_environment(device.device(), nullptr, &comm)
                  : flagos_comm_create(device.device(), &id, rank, size, nullptr, &comm);
  if (status != FLAGOS_STATUS_OK) return report(status, joining, flagos_last_error());
  flagos_comm_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_comm_get_info(comm, &info));  // a launcher knows better than our arguments
  const Scenario scenario{info.rank, info.size, device, comm, argv + 5, lateness};
  int result = 2;
  if (name == "random" && argc == 8) {
    result = scenario.random();
  } else if (name == "windows" && argc == 8) {
    result = scenario.windows();
  } else if (has_fault) {
    result = run_with_fault(fault, device, comm, lateness);
  } else if (argc == 8) {
    result = scenario.until_failure([&](std::uint64_t& elements) {
      if (name == "kill") raise(SIGKILL);
      if (name == "stop") raise(SIGSTOP);
      if (name == "mismatch") ++elements;
      if (name == "leave") {
        flagos_comm_destroy(comm);
        std::printf("left\n");
        std::fflush(stdout);
        _exit(0);
      }
    });
  }
  flagos_comm_destroy(comm);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
}
