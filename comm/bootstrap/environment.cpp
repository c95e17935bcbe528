#include "comm/bootstrap/environment.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/error.hpp"

namespace flagos::comm {
namespace {

struct Launcher {
  const char* rank;
  const char* size;
};
constexpr Launcher launchers[] = {{"FLAGOS_COMM_RANK", "FLAGOS_COMM_SIZE"},
                                  {"RANK", "WORLD_SIZE"},
                                  {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                  {"PMI_RANK", "PMI_SIZE"},
                                  {"SLURM_PROCID", "SLURM_NTASKS"}};
// What names a job, beside the launcher's own process.
constexpr const char* job_variables[] = {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "PMI_JOBID",
                                         "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID"};

std::string variable(const char* name) {
  const char* const value = secure_getenv(name);
  return value != nullptr ? value : "";
}

std::optional<std::uint32_t> number(const char* name) {
  const std::string text = variable(name);
  if (text.empty()) return std::nullopt;
  std::uint32_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is '{}', not a number", name, text);
  return value;
}

flagos_comm_unique_id_t from_hex(const std::string& text) {
  flagos_comm_unique_id_t id{};
  bool is_good = text.size() == 2 * sizeof(id.bytes);
  for (std::size_t i = 0; is_good && i < sizeof(id.bytes); ++i) {
    const char* const first = text.data() + 2 * i;
    const auto [stop, error] = std::from_chars(first, first + 2, id.bytes[i], 16);
    is_good = error == std::errc() && stop == first + 2;
  }
  if (!is_good)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "FLAGOS_COMM_ID is not an id: 256 hexadecimal digits are wanted, there are {}",
                text.size());
  return id;
}

// In a folder of this user's own.
std::string default_file() {
  std::string job;
  for (const char* name : job_variables)
    if (job = variable(name); !job.empty()) break;
  if (job.empty())
    throw_error(FLAGOS_STATUS_NOT_FOUND,
                "the ranks do not know of each other: set FLAGOS_COMM_ID, or FLAGOS_COMM_FILE to a "
                "file that all ranks see "
                "(`flagos run` does)");
  for (char& c : job)
    if (c == '/' || c == '.') c = '_';
  std::string folder = variable("XDG_RUNTIME_DIR");
  if (folder.empty()) {
    folder = fmt::format("/tmp/flagos-{}", getuid());
    mkdir(folder.c_str(), 0700);
  }
  return folder + "/flagos-comm-" + job;
}

// The folder must not be writable by others, or they could put a file of their own there.
void check_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
  struct stat status {};
  if (stat(folder.c_str(), &status) != 0)
    throw_error(FLAGOS_STATUS_NOT_FOUND, "the folder of {}: {}", path, std::strerror(errno));
  const bool others_write =
      (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0;
  if (others_write || (status.st_uid != getuid() && status.st_uid != 0))
    throw_error(FLAGOS_STATUS_NOT_PERMITTED,
                "the folder of {} can be written by others: the secret would not be one", path);
}

void write_file(const std::string& path, const flagos_comm_unique_id_t& id) {
  check_folder(path);
  const std::string temporary = fmt::format("{}.{}", path, getpid());
  unlink(temporary.c_str());
  const int fd =
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  const bool is_written =
      fd >= 0 && write(fd, id.bytes, sizeof(id.bytes)) == static_cast<ssize_t>(sizeof(id.bytes));
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!is_written || rename(temporary.c_str(), path.c_str()) != 0)
    throw_error(FLAGOS_STATUS_NOT_FOUND, "{} cannot be written: {}", path,
                std::strerror(is_written ? errno : error));
}

// Nothing when it is not there yet, or not of a rendezvous that is open.
std::optional<Invitation> read_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  struct stat status {};
  flagos_comm_unique_id_t id{};
  const bool is_ours =
      fstat(fd, &status) == 0 && status.st_uid == getuid() && (status.st_mode & 077) == 0;
  const bool is_whole =
      read(fd, id.bytes, sizeof(id.bytes)) == static_cast<ssize_t>(sizeof(id.bytes));
  close(fd);
  if (!is_ours)
    throw_error(FLAGOS_STATUS_NOT_PERMITTED, "{} is another user's, or can be read by others",
                path);
  if (!is_whole) return std::nullopt;
  const Invitation invitation = Invitation::read(id);
  // One that an earlier job left behind has nobody who listens.
  try {
    Socket::connect(invitation.address, Deadline(1'000'000'000));
  } catch (const Error&) {
    return std::nullopt;
  }
  return invitation;
}

}  // namespace

RankPlace place_from_environment() {
  std::string looked_for;
  for (const Launcher& launcher : launchers) {
    const auto rank = number(launcher.rank);
    const auto size = number(launcher.size);
    if (rank && size) return {*rank, *size};
    looked_for +=
        fmt::format("{}{} and {}", looked_for.empty() ? "" : "; ", launcher.rank, launcher.size);
  }
  throw_error(FLAGOS_STATUS_NOT_FOUND,
              "no launcher has said which rank this process is; looked for {}", looked_for);
}

Invitation invitation_from_environment(const RankPlace& place, const std::string& interface,
                                       std::uint64_t timeout_ns) {
  const std::string id = variable("FLAGOS_COMM_ID");
  if (!id.empty()) return Invitation::read(from_hex(id));
  std::string path = variable("FLAGOS_COMM_FILE");
  if (path.empty()) path = default_file();
  if (place.rank == 0) {
    const Invitation invitation = Rendezvous::open(interface, timeout_ns);
    write_file(path, invitation.write());
    return invitation;
  }
  const Deadline deadline(timeout_ns);
  while (true) {
    if (const auto invitation = read_file(path)) return *invitation;
    if (deadline.has_passed())
      throw_error(FLAGOS_STATUS_COMM_TIMEOUT, "rank 0 did not write {} in {} ms", path,
                  timeout_ns / 1'000'000);
    poll(nullptr, 0, 20);
  }
}

}  // namespace flagos::comm
