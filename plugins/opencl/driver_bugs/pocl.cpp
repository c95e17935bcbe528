// A fault of PoCL (seen in 3.1 on x86-64), shown against the driver alone: functions of vectors choose one way for all lanes
// by what some of them hold. The others get wrong numbers (sin, cos, tan of floats, pow of 8 doubles), or the call does not
// end (fmod of 8 doubles).
//
// It is why print_opencl_lanes.cpp calls these functions lane by lane. Ends with 0 when a fault is still there, 77 without
// PoCL, and 1 when all are gone: then device_function() there can go as well.
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

void* library = nullptr;
#define CALL(name) reinterpret_cast<decltype(&(name))>(dlsym(library, #name))

constexpr int kLanes = 8;
struct Test {
  const char *function, *type;
  double (*right)(double, double);
  double a[kLanes], b[kLanes];
};

const Test kTests[] = {
    {"sin",
     "float",
     [](double a, double) { return std::sin(a); },
     {1e30, 1e-4, 1, 2, 3, 4, 5, 6},
     {}},
    {"cos",
     "float",
     [](double a, double) { return std::cos(a); },
     {1e30, 1e-4, 1, 2, 3, 4, 5, 6},
     {}},
    {"tan",
     "float",
     [](double a, double) { return std::tan(a); },
     {1e30, 1e-4, 1, 2, 3, 4, 5, 6},
     {}},
    {"pow",
     "double",
     [](double a, double b) { return std::pow(a, b); },
     {0, 2, 0, 2, 2, 0, 1, 3},
     {3, 3, 3, 3, 3, 3, 3, 3}},
    {"fmod",
     "double",
     [](double a, double b) { return std::fmod(a, b); },
     {0.0114151, 0, -1, -2.09957, 1e10, -0.5, NAN, 1e30},
     {4.14903, -3.09004, 0, 0, 88, 10, 3, 1}},
};

cl_device_id find_pocl() {
  library = dlopen("libOpenCL.so.1", RTLD_NOW);
  if (library == nullptr) std::exit(77);
  cl_platform_id platforms[16];
  cl_uint count = 0;
  if (CALL(clGetPlatformIDs)(16, platforms, &count) != CL_SUCCESS) std::exit(77);
  for (cl_uint i = 0; i < count && i < 16; ++i) {
    char name[256] = "";
    CALL(clGetPlatformInfo)(platforms[i], CL_PLATFORM_NAME, sizeof(name), name, nullptr);
    cl_device_id device = nullptr;
    if (std::strcmp(name, "Portable Computing Language") == 0 &&
        CALL(clGetDeviceIDs)(platforms[i], CL_DEVICE_TYPE_CPU, 1, &device, nullptr) == CL_SUCCESS)
      return device;
  }
  std::exit(77);
}

void check(cl_int code, const char* call) {
  if (code == CL_SUCCESS) return;
  std::printf("%s: %d\n", call, code);
  std::exit(2);
}

// Whether a lane is wrong.
template <typename Number>
bool is_wrong(const Test& test) {
  cl_device_id device = find_pocl();
  Number numbers[3][kLanes] = {};
  for (int i = 0; i < kLanes; ++i) {
    numbers[0][i] = static_cast<Number>(test.a[i]);
    numbers[1][i] = static_cast<Number>(test.b[i]);
  }
  const bool two = test.b[0] != 0;
  const std::string type = test.type, vector = type + "8";
  const std::string text = "__kernel void run(__global " + vector +
                           "* x) { x[2] = " + test.function + "(x[0]" + (two ? ", x[1]" : "") +
                           "); }\n";
  const char* source = text.c_str();
  cl_int code = CL_SUCCESS;
  cl_context context = CALL(clCreateContext)(nullptr, 1, &device, nullptr, nullptr, &code);
  check(code, "clCreateContext");
  cl_command_queue queue = CALL(clCreateCommandQueue)(context, device, 0, &code);
  check(code, "clCreateCommandQueue");
  cl_program program = CALL(clCreateProgramWithSource)(context, 1, &source, nullptr, &code);
  check(code, "clCreateProgramWithSource");
  check(CALL(clBuildProgram)(program, 1, &device, "", nullptr, nullptr), "clBuildProgram");
  cl_kernel kernel = CALL(clCreateKernel)(program, "run", &code);
  check(code, "clCreateKernel");
  cl_mem memory = CALL(clCreateBuffer)(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR,
                                       sizeof(numbers), numbers, &code);
  check(code, "clCreateBuffer");
  check(CALL(clSetKernelArg)(kernel, 0, sizeof(cl_mem), &memory), "clSetKernelArg");
  const std::size_t one = 1;
  check(CALL(clEnqueueNDRangeKernel)(queue, kernel, 1, nullptr, &one, nullptr, 0, nullptr, nullptr),
        "clEnqueueNDRangeKernel");
  check(CALL(clEnqueueReadBuffer)(queue, memory, CL_TRUE, 0, sizeof(numbers), numbers, 0, nullptr,
                                  nullptr),
        "clEnqueueReadBuffer");
  bool wrong = false;
  for (int i = 0; i < kLanes; ++i) {
    const double right =
        test.right(static_cast<double>(numbers[0][i]), static_cast<double>(numbers[1][i]));
    const auto got = static_cast<double>(numbers[2][i]);
    if (std::fabs(got - right) <= 1e-6 * std::fabs(right) || std::isnan(right)) continue;
    std::printf("%s of %s, lane %d: %g, not %g\n", test.function, vector.c_str(), i, got, right);
    wrong = true;
  }
  return wrong;
}

// In a process of its own, since it may not end: 0 is wrong, 1 right.
int verdict(const Test& test) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);
    const bool wrong =
        std::strcmp(test.type, "float") == 0 ? is_wrong<float>(test) : is_wrong<double>(test);
    std::fflush(stdout);
    _exit(wrong ? 0 : 1);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return 2;
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  std::printf("%s of %s8 does not end\n", test.function, test.type);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? 0 : 2;
}

}  // namespace

int main() {
  bool wrong = false;
  for (const Test& test : kTests) {
    const int found = verdict(test);
    if (found > 1) return found;
    wrong |= found == 0;
  }
  return wrong ? 0 : 1;
}
