// Drives a verilated model through the port trace of a cocotb run (format: trace.py), checks every output
// change against it and measures the processor time between marks. ports.inc is written from the model's header.
//
// Usage: replay TRACE; prints one JSON object.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace {

uint64_t now_steps = 0;

double processor_seconds() {
    timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Port {
    bool output;
    uint16_t bytes;
    uint8_t* model;
    const uint8_t* expected = nullptr;  // outputs: the latest value in the trace
    bool pending = false;               // ... not yet compared
};

struct Record {
    uint64_t time;
    int port;  // -1: mark
    const uint8_t* value;
    std::string mark;
};

class Reader {
  public:
    explicit Reader(const char* path) {
        std::ifstream in(path, std::ios::binary);
        if (!in) fail(std::string("cannot read ") + path);
        data_.assign(std::istreambuf_iterator<char>(in), {});
    }
    bool done() const { return at_ == data_.size(); }
    const uint8_t* take(size_t bytes) {
        if (at_ + bytes > data_.size()) fail("the trace ends in the middle of a record");
        const uint8_t* p = data_.data() + at_;
        at_ += bytes;
        return p;
    }
    template <typename T> T number() {
        T value;
        std::memcpy(&value, take(sizeof(T)), sizeof(T));
        return value;
    }
    std::string name() {
        const size_t length = number<uint8_t>();
        return std::string(reinterpret_cast<const char*>(take(length)), length);
    }
    [[noreturn]] static void fail(const std::string& what) {
        std::fprintf(stderr, "replay: %s\n", what.c_str());
        std::exit(1);
    }

  private:
    std::vector<uint8_t> data_;
    size_t at_ = 0;
};

}  // namespace

double sc_time_stamp() { return static_cast<double>(now_steps); }

int main(int argc, char** argv) {
    if (argc != 2) Reader::fail("usage: replay TRACE");
    Reader in(argv[1]);
    if (std::memcmp(in.take(8), "SCTRACE1", 8) != 0) Reader::fail("not a trace");
    const uint64_t period = in.number<uint64_t>();
    const uint64_t first_edge = in.number<uint64_t>();
    const uint64_t seed = in.number<uint64_t>();
    const uint32_t count = in.number<uint32_t>();

    // The same unknown values as in the recorded run.
    const std::string seed_arg = "+verilator+seed+" + std::to_string(seed);
    const char* args[] = {argv[0], seed_arg.c_str(), "+verilator+rand+reset+2"};
    Verilated::commandArgs(3, args);
    auto top = std::make_unique<Vtop>("");

    std::unordered_map<std::string, std::pair<uint8_t*, size_t>> model = {
#define PORT(name) {#name, {reinterpret_cast<uint8_t*>(&top->name), sizeof(top->name)}},
#include "ports.inc"
#undef PORT
    };
    std::vector<Port> ports;
    for (uint32_t i = 0; i < count; i++) {
        const bool output = in.number<uint8_t>();
        const uint16_t bytes = in.number<uint16_t>();
        const std::string name = in.name();
        const auto found = model.find(name);
        if (found == model.end() || found->second.second < bytes) Reader::fail("the model has no port " + name);
        ports.push_back({output, bytes, found->second.first});
    }
    std::vector<Record> records;
    while (!in.done()) {
        const uint64_t time = in.number<uint64_t>();
        const uint16_t port = in.number<uint16_t>();
        if (port == 0xffff) records.push_back({time, -1, nullptr, in.name()});
        else records.push_back({time, port, in.take(ports.at(port).bytes), {}});
    }

    uint64_t matched = 0, mismatched = 0;
    std::vector<int> to_check;
    std::string marks;
    size_t next = 0;
    const double begin = processor_seconds();
    auto apply_until = [&](uint64_t time, uint64_t cycle) {
        for (; next < records.size() && records[next].time < time; next++) {
            const Record& record = records[next];
            if (record.port < 0) {
                marks += (marks.empty() ? "" : ", ") + ("{\"name\": \"" + record.mark) + "\", \"cycle\": " +
                         std::to_string(cycle) + ", \"seconds\": " + std::to_string(processor_seconds() - begin) + "}";
                continue;
            }
            Port& port = ports[record.port];
            if (!port.output) {
                std::memcpy(port.model, record.value, port.bytes);
            } else {
                port.expected = record.value;
                if (!port.pending) to_check.push_back(record.port);
                port.pending = true;
            }
        }
    };

    apply_until(first_edge, 0);
    to_check.clear();
    for (Port& port : ports) port.pending = false;  // outputs before the first edge are unknown
    top->clk_i = 0;
    top->eval();
    uint64_t cycle = 0;
    for (; next < records.size() && !Verilated::gotFinish(); cycle++) {
        now_steps = first_edge + cycle * period;
        top->clk_i = 1;
        top->eval();
        apply_until(now_steps + period, cycle);
        top->clk_i = 0;
        top->eval();
        for (const int index : to_check) {
            Port& port = ports[index];
            if (std::memcmp(port.model, port.expected, port.bytes) == 0) matched++;
            else mismatched++;
            port.pending = false;
        }
        to_check.clear();
    }
    top->final();
    std::printf("{\"cycles\": %llu, \"matched\": %llu, \"mismatched\": %llu, \"marks\": [%s]}\n",
                static_cast<unsigned long long>(cycle), static_cast<unsigned long long>(matched),
                static_cast<unsigned long long>(mismatched), marks.c_str());
    return 0;
}
